import { at, element, keyHeader } from "./service.js";

const METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
const DEEPEST = 5;
let description = {};

function resolved(schema) {
  if (!schema || !schema.$ref) return schema || {};
  return schema.$ref.split("/").slice(1).reduce((node, name) => (node || {})[name], description) || {};
}

function typeName(schema) {
  const whole = resolved(schema);
  if (whole.anyOf && !whole.type) return whole.anyOf.map(typeName).join(" or ");
  if (whole.type === "array") return `list of ${typeName(whole.items)}`;
  if (whole.enum) return whole.enum.map((one) => JSON.stringify(one)).join(" or ");
  return (schema && schema.$ref ? whole.title : whole.type) || "anything";
}

function bounds(schema) {
  const whole = resolved(schema);
  const named = { minimum: "from", maximum: "to", minItems: "at least", maxItems: "at most", maxLength: "characters up to" };
  const parts = Object.entries(named).filter(([name]) => name in whole).map(([name, words]) => `${words} ${whole[name]}`);
  if (whole.default !== undefined) parts.push(`default ${JSON.stringify(whole.default)}`);
  return [whole.description, parts.join(", ")].filter(Boolean).join("; ");
}

function example(schema, depth = 0) {
  const whole = resolved(schema);
  if (whole.examples && whole.examples.length) return whole.examples[0];
  if (whole.example !== undefined) return whole.example;
  if (whole.default !== undefined) return whole.default;
  if (depth > DEEPEST) return null;
  if (whole.anyOf && !whole.type) return example(whole.anyOf[0], depth + 1);
  if (whole.type === "object") {
    const must = whole.required || [];
    const fields = Object.entries(whole.properties || {}).filter(([name, field]) => {
      const { default: usual, examples } = resolved(field);
      return must.includes(name) || usual !== undefined || examples;
    });
    return Object.fromEntries(fields.map(([name, field]) => [name, example(field, depth + 1)]));
  }
  if (whole.type === "array") return [example(whole.items, depth + 1)];
  return { string: "text", integer: whole.minimum || 0, number: whole.minimum || 0, boolean: false }[whole.type] ?? null;
}

function table(heads, rows) {
  const head = element("thead", "", element("tr", "", ...heads.map((name) => {
    const cell = element("th", "", name);
    cell.scope = "col";
    return cell;
  })));
  const lines = rows.map((cells) => element("tr", "", ...cells.map((cell, place) => element("td", place ? "" : "mono", cell))));
  const frame = element("div", "scroll", element("table", "", head, element("tbody", "", ...lines)));
  frame.tabIndex = 0;
  frame.setAttribute("role", "group");
  frame.setAttribute("aria-label", heads.join(", "));
  return frame;
}

function block(text) {
  const made = element("pre", "", element("code", "", text));
  made.tabIndex = 0;
  return made;
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

const addressOf = (path) => new URL(path.replace(/^\//, ""), document.baseURI).href;

function command(method, path, body) {
  const address = addressOf(path);
  if (body === undefined) return `curl ${quoted(address)}`;
  return `curl -X ${method.toUpperCase()} ${quoted(address)} \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(JSON.stringify(body))}`;
}

function fieldsOf(schema) {
  const whole = resolved(schema);
  const must = whole.required || [];
  return Object.entries(whole.properties || {}).map(([name, field]) => [name + (must.includes(name) ? " *" : ""), typeName(field), bounds(field)]);
}

function part(title, ...content) {
  return [element("h3", "", title), ...content];
}

function field(name, control, hint) {
  const label = element("label", "", name);
  label.htmlFor = control.id;
  return element("div", "field", label, control, hint ? element("p", "hint", hint) : null);
}

function parameterField(id, one) {
  const control = element("input");
  control.type = "text";
  control.id = `${id}-${one.name}`;
  control.name = one.name;
  control.dataset.in = one.in;
  control.required = Boolean(one.required);
  control.autocomplete = "off";
  const usual = resolved(one.schema).default;
  if (usual !== undefined) control.placeholder = String(usual);
  return field(one.name + (one.required ? " *" : ""), control, bounds(one.schema));
}

// The path with what was entered for its parts, and the query with what is not empty.
function filled(path, controls) {
  let whole = path;
  const query = new URLSearchParams();
  for (const control of controls) {
    if (control.dataset.in === "path") whole = whole.replace(`{${control.name}}`, control.value.split("/").map(encodeURIComponent).join("/"));
    else if (control.value !== "") query.set(control.name, control.value);
  }
  return whole + (String(query) ? `?${query}` : "");
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function send(method, path, body, shown) {
  shown.replaceChildren(element("p", "hint", "Asking…"));
  const started = performance.now();
  try {
    const answer = await fetch(addressOf(path), {
      method: method.toUpperCase(),
      headers: { Accept: "application/json", ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...keyHeader() },
      body,
      cache: "no-store",
      credentials: "omit",
    });
    const text = await answer.text();
    const spent = Math.round(performance.now() - started);
    shown.replaceChildren(
      element("p", answer.ok ? "" : "error", `${answer.status} ${answer.statusText} · ${spent} ms · request ${answer.headers.get("X-Request-ID") || "without an id"}`),
      block(pretty(text) || "(no body)"));
    if (answer.status === 401) at("key").focus();
  } catch {
    shown.replaceChildren(element("p", "error", "The service cannot be reached. Check the connection and try again."));
  }
  shown.scrollIntoView({ block: "nearest" });
}

function tryIt(method, path, parameters, sent) {
  const id = `${method}${path.replace(/\W+/g, "-")}`;
  const form = element("form", "try");
  const controls = parameters.map((one) => parameterField(id, one));
  const body = sent === undefined ? null : element("textarea", "mono");
  if (body) {
    body.id = `${id}-body`;
    body.rows = 8;
    body.spellcheck = false;
    body.value = JSON.stringify(sent, null, 2);
  }
  const button = element("button", "small", "Send");
  button.type = "submit";
  button.setAttribute("aria-label", `Send ${method.toUpperCase()} ${path}`);
  const shown = element("div", "answer");
  shown.setAttribute("role", "status");
  form.append(...controls, ...(body ? [field("Body", body)] : []), element("div", "actions", button), shown);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(method, filled(path, form.querySelectorAll("input")), body ? body.value : undefined, shown);
  });
  return element("details", "try-it", element("summary", "", "Try it"), form);
}

function operation(method, path, operationDescription) {
  const card = element("section", "card operation");
  card.append(element("h2", "", element("span", "method", method.toUpperCase()), element("span", "mono", path)));
  const text = operationDescription.description || operationDescription.summary;
  if (text) card.append(element("p", "", text));
  const parameters = operationDescription.parameters || [];
  if (parameters.length) {
    const rows = parameters.map((one) => [one.name + (one.required ? " *" : ""), one.in, typeName(one.schema), bounds(one.schema)]);
    card.append(...part("Parameters", table(["name", "in", "type", "notes"], rows)));
  }
  const body = operationDescription.requestBody?.content?.["application/json"];
  if (body) card.append(...part("Body", table(["field", "type", "notes"], fieldsOf(body.schema))));
  const sent = body ? body.example ?? example(body.schema) : undefined;
  card.append(...part("Example", block(command(method, path, sent))), tryIt(method, path, parameters, sent));
  const replies = Object.entries(operationDescription.responses || {});
  card.append(...part("Answers", table(["status", "meaning", "body"], replies.map(([status, reply]) => [
    status, reply.description || "", typeName(reply.content?.["application/json"]?.schema),
  ]))));
  return card;
}

async function show() {
  const main = at("operations");
  try {
    const answer = await fetch("openapi.json", { credentials: "omit" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    description = await answer.json();
  } catch (error) {
    main.replaceChildren(element("p", "error", `The description cannot be loaded: ${error.message}`));
    return;
  }
  at("version").textContent = `${description.info.title}, version ${description.info.version}`;
  const cards = Object.entries(description.paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => method in methods).map((method) => operation(method, path, methods[method])));
  main.replaceChildren(...cards);
}

show();
