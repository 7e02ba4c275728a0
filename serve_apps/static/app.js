import { asCsv, asCurl, asJson, asPython, copy, download } from "./copying.js";
import { MOST_CHARACTERS, MOST_DOCUMENTS, readFiles } from "./files.js";
import { clearResults, filterResults, percent, showResults } from "./results.js";
import { AnswerError, at, call, element, post, showError } from "./service.js";

const MOST_LABELS = 50;
const CHUNK_DOCUMENTS = 32, CHUNK_CHARACTERS = 300000; // of one request
const TRIES = 6;
let documents = [];
let many = false;
let running = null;
let lastBody = null;

const threshold = () => Number(at("threshold").value) / 100;
const show = () => showResults(documents, many, threshold(), showSaid);

function showIdentity(bundleId) {
  const known = bundleId === about.id ? about.words : "";
  at("identity").replaceChildren("Bundle ", element("code", "", bundleId), known);
}

const about = { id: "", words: "" };

function keepAbout(ready) {
  const bundle = ready.bundle || {};
  const parts = [
    bundle.name,
    bundle.created && bundle.created.slice(0, 10),
    bundle.labels && `${bundle.labels.toLocaleString("en")} labels`,
    bundle.quality,
  ].filter(Boolean);
  Object.assign(about, { id: ready.bundle_id, words: parts.length ? ` · ${parts.join(" · ")}` : "" });
  showIdentity(ready.bundle_id);
}

function asked(one) {
  const { id, title, text } = one;
  return { ...(id ? { id } : {}), ...(title && title.trim() ? { title } : {}), text };
}

function requestOf(part) {
  return { documents: part.map(asked), top_k: Number(at("top-k").value), min_probability: 0 };
}

// Tags of an earlier text beside an error about this one would be taken for its own.
function begin(withMany) {
  documents = [];
  many = withMany;
  running = new AbortController();
  at("error").textContent = "";
  at("submit").setAttribute("aria-disabled", "true");
  at("submit").textContent = "Tagging…";
  clearResults();
  showSaid();
}

function end() {
  running = null;
  at("submit").setAttribute("aria-disabled", "false");
  at("submit").textContent = "Tag";
  at("progress-row").hidden = true;
}

// On a phone the tags are below the text: whoever asked for them is taken there.
function bringIntoView() {
  const box = at("result-heading").getBoundingClientRect();
  if (box.top < 0 || box.bottom > window.innerHeight * 0.8) at("results").scrollIntoView({ block: "start" });
}

function answered(part, reply) {
  showIdentity(reply.bundle_id);
  part.forEach((one, place) => documents.push({ ...one, ...reply.results[place], id: one.id, answers: {} }));
}

async function tagText(event) {
  event.preventDefault();
  if (running) return;
  const text = at("text").value;
  at("error").textContent = "";
  if (!text.trim() && !at("title").value.trim()) {
    at("error").textContent = "Enter a text first.";
    at("text").focus();
    return;
  }
  begin(false);
  try {
    const part = [{ id: "", title: at("title").value, text }];
    lastBody = requestOf(part);
    answered(part, await post("v1/tag", { ...lastBody, explain: true }));
    show();
    bringIntoView();
  } catch (error) {
    showError(at("error"), error);
  } finally {
    end();
  }
}

function chunks(all) {
  const parts = [];
  let size = 0;
  for (const one of all) {
    const own = one.text.length + (one.title || "").length;
    const last = parts.at(-1);
    if (!last || last.length === CHUNK_DOCUMENTS || size + own > CHUNK_CHARACTERS) {
      parts.push([one]);
      size = own;
    } else {
      last.push(one);
      size += own;
    }
  }
  return parts;
}

const pause = (seconds) => new Promise((done) => { setTimeout(done, seconds * 1000); });

async function patiently(body) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await post("v1/tag", body, running.signal);
    } catch (error) {
      const busy = error instanceof AnswerError && (error.status === 429 || error.status === 503);
      if (!busy || attempt === TRIES || running.signal.aborted) throw error;
      await pause(error.retryAfter);
    }
  }
}

function showProgress(done, all) {
  at("progress-row").hidden = false;
  at("progress").max = all;
  at("progress").value = done;
  at("progress-text").textContent = `${done} of ${all} documents`;
}

async function tagDocuments(files) {
  if (running || !files.length) return;
  begin(true);
  try {
    const { documents: found, more } = await readFiles([...files]);
    const fitting = found.filter((one) => one.text.length + (one.title || "").length <= MOST_CHARACTERS);
    lastBody = requestOf(fitting.slice(0, CHUNK_DOCUMENTS));
    showProgress(0, found.length);
    bringIntoView();
    for (const part of chunks(fitting)) {
      if (running.signal.aborted) break;
      answered(part, await patiently({ ...requestOf(part), explain: true }));
      showProgress(documents.length, found.length);
      at("empty").hidden = true;
    }
    if (more) showError(at("error"), new Error(`Only the first ${MOST_DOCUMENTS} documents are tagged here. For more there is “lmtx tag”.`));
    else if (fitting.length < found.length) showError(at("error"), new Error(`${found.length - fitting.length} documents of more than ${MOST_CHARACTERS} characters are left out.`));
  } catch (error) {
    if (error.name !== "AbortError") showError(at("error"), error);
  } finally {
    if (documents.length) show();
    end();
  }
}

function shownResults() {
  return documents.map(({ id, title, tags, reason }, place) => ({
    id: id || String(place + 1), title, reason, tags: tags.filter((tag) => tag.probability >= threshold()),
  }));
}

const FORMATS = {
  csv: () => asCsv(shownResults()),
  json: () => asJson(shownResults()),
  curl: () => asCurl(lastBody, Boolean(at("key").value)),
  python: () => asPython(lastBody, Boolean(at("key").value)),
};

async function copyAs(event) {
  const button = event.currentTarget; // the event has none any more after a pause
  const kind = button.dataset.copy;
  const isRequest = kind === "curl" || kind === "python";
  const whole = isRequest && documents.length > lastBody.documents.length ? ` with the first ${lastBody.documents.length} documents` : "";
  const done = await copy(FORMATS[kind]());
  at("copied").textContent = done ? `Copied as ${button.textContent}${whole}.` : "This browser does not let the page copy.";
}

function said() {
  return documents.filter((one) => Object.keys(one.answers).length);
}

// With the text that was shown: by now another bundle may answer, where the key has another or none.
function judged(one) {
  return one.tags.filter((tag) => one.answers[tag.key]).map(({ key, label }) => ({ key, label, answer: one.answers[key] }));
}

function showSaid() {
  const count = said().reduce((sum, one) => sum + Object.keys(one.answers).length, 0);
  at("save").hidden = !count;
  at("save").textContent = `Save ${count} ${count === 1 ? "answer" : "answers"}`;
  if (count) at("copied").textContent = "";
}

async function saveAnswers() {
  at("error").textContent = "";
  try {
    const rows = [];
    let kept = true;
    const answers = said().map((one) => ({ ...asked(one), answers: judged(one) }));
    for (const part of chunks(answers)) {
      const reply = await post("v1/feedback", { documents: part });
      rows.push(...reply.rows);
      kept = kept && reply.kept;
    }
    download("feedback.jsonl", rows.map((row) => `${JSON.stringify(row)}\n`).join(""), "application/jsonl");
    at("copied").textContent = `${kept ? "The service keeps them; a" : "A"} file feedback.jsonl for “lmtx verdicts import” is in your downloads.`;
  } catch (error) {
    showError(at("error"), error);
  }
}

// The number and the least probability that were chosen for this bundle; the slider still shows less.
function useDefaults({ defaults }) {
  if (!defaults || (defaults.top_k === 5 && defaults.min_probability === 0)) return;
  offer(defaults.top_k);
  at("threshold").value = Math.round(100 * defaults.min_probability);
  at("threshold").dispatchEvent(new Event("input"));
  at("threshold-own").hidden = defaults.min_probability === 0;
  at("threshold-own").textContent = `${percent(defaults.min_probability)} is this bundle's own`;
}

// The bundle's own number among the others, in their order, and chosen.
function offer(number) {
  const tags = number === 1 ? "1 tag" : `${number} tags`;
  const own = new Option(`${tags}, this bundle's own`, number, true, true);
  const next = [...at("top-k").options].find((option) => Number(option.value) >= number);
  at("top-k").add(own, next ?? null);
  if (next && Number(next.value) === number) next.remove();
}

async function findLabels(event) {
  event.preventDefault();
  const query = at("query").value.trim();
  at("label-error").textContent = "";
  at("label-empty").hidden = true;
  at("labels").replaceChildren();
  at("label-count").textContent = "";
  if (!query) {
    at("query").focus();
    return;
  }
  try {
    const { labels, count } = await call(`v1/labels?q=${encodeURIComponent(query)}&limit=${MOST_LABELS + 1}`);
    at("labels").replaceChildren(...labels.slice(0, MOST_LABELS).map((label) =>
      element("li", "", label.label, element("span", "key mono", label.key))));
    at("label-empty").hidden = labels.length > 0;
    at("label-empty").textContent = `None of the ${count.toLocaleString("en")} labels has words like “${query}”. Try the beginning of another word.`;
    at("label-count").textContent = labels.length > MOST_LABELS ? `The first ${MOST_LABELS} labels found` : `${labels.length} ${labels.length === 1 ? "label" : "labels"} found`;
  } catch (error) {
    showError(at("label-error"), error);
  }
}

function dropping(event) {
  if (![...event.dataTransfer.types].includes("Files")) return;
  event.preventDefault();
  at("tag-form").classList.toggle("over", event.type === "dragover");
  if (event.type === "drop") tagDocuments([...event.dataTransfer.files]);
}

at("tag-form").addEventListener("submit", tagText);
at("label-form").addEventListener("submit", findLabels);
at("threshold").addEventListener("input", () => {
  at("threshold-value").textContent = percent(threshold());
  at("threshold").setAttribute("aria-valuetext", `${Math.round(threshold() * 100)} percent`);
  filterResults(documents, many, threshold());
});
at("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) tagText(event);
});
at("files").addEventListener("change", () => {
  tagDocuments([...at("files").files]);
  at("files").value = "";
});
at("choose").addEventListener("click", () => at("files").click());
at("stop").addEventListener("click", () => running && running.abort());
at("save").addEventListener("click", saveAnswers);
for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", copyAs);
for (const kind of ["dragover", "dragleave", "drop"]) document.addEventListener(kind, dropping);
call("readyz").then(
  (ready) => { keepAbout(ready); useDefaults(ready); },
  (error) => { at("identity").textContent = error.message; },
);
