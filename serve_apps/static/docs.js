"use strict";

const METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
const DEEPEST = 5;
let description = {};

function element(name, className, ...content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

function resolved(schema) {
  if (!schema || !schema.$ref) return schema || {};
  return schema.$ref.split("/").slice(1).reduce((node, name) => (node || {})[name], description) || {};
}

function typeName(schema) {
  const whole = resolved(schema);
  if (whole.anyOf) return whole.anyOf.map(typeName).join(" or ");
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
  if (whole.anyOf) return example(whole.anyOf[0], depth + 1);
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

function command(method, path, body) {
  const address = new URL(path.replace(/^\//, ""), document.baseURI).href;
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
  card.append(...part("Example", block(command(method, path, sent))));
  const replies = Object.entries(operationDescription.responses || {});
  card.append(...part("Answers", table(["status", "meaning", "body"], replies.map(([status, reply]) => [
    status, reply.description || "", typeName(reply.content?.["application/json"]?.schema),
  ]))));
  return card;
}

async function show() {
  const main = document.getElementById("operations");
  try {
    const answer = await fetch("openapi.json", { credentials: "omit" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    description = await answer.json();
  } catch (error) {
    main.replaceChildren(element("p", "error", `The description cannot be loaded: ${error.message}`));
    return;
  }
  document.getElementById("version").textContent = `${description.info.title}, version ${description.info.version}`;
  const cards = Object.entries(description.paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => method in methods).map((method) => operation(method, path, methods[method])));
  main.replaceChildren(...cards);
}

show();
