"use strict";

const at = (id) => document.getElementById(id);
const percent = (share) => `${Math.round(share * 100)}%`;
const MOST_LABELS = 50;
let tags = [];
let busy = false;

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

class AnswerError extends Error {
  constructor(status, reply, retryAfter) {
    super(inWords(status, reply, retryAfter));
    this.status = status;
  }
}

function inWords(status, reply, retryAfter) {
  const problem = (reply && Array.isArray(reply.detail) && reply.detail[0]) || {};
  const message = typeof problem.msg === "string" ? problem.msg : "";
  const place = Array.isArray(problem.loc) ? problem.loc.slice(1).join(" › ") : "";
  if (status === 401) {
    return at("key").value ? "This API key is not known." : "This service needs an API key. Enter yours and tag again.";
  }
  if (status === 413) return "The text is too long for the service. Shorten it and try again.";
  if (status === 429 || status === 503) {
    const wait = retryAfter ? ` Try again in ${retryAfter} s.` : " Try again in a moment.";
    return `${status === 429 ? "Too many requests." : "The service is busy or not ready."}${wait}`;
  }
  if (status >= 500) return "The service has a fault. The request id in its log is " + ((reply && reply.request_id) || "unknown") + ".";
  return `The service refused this${place ? ` (${place})` : ""}: ${message || `status ${status}`}.`;
}

async function call(path, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  if (at("key").value) headers.Authorization = `Bearer ${at("key").value}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit" });
  } catch {
    throw new Error("The service cannot be reached. Check the connection and try again.");
  }
  const reply = await answer.json().catch(() => null);
  if (!answer.ok) throw new AnswerError(answer.status, reply, answer.headers.get("Retry-After"));
  if (reply === null) throw new Error("The service sent an answer that this page cannot read.");
  return reply;
}

function askForKey(error) {
  if (error.status !== 401) return;
  at("key-field").hidden = false;
  at("key").focus();
}

function showIdentity(bundleId) {
  at("identity").replaceChildren("Bundle ", element("code", "", bundleId));
}

function crumbs(tag) {
  const parents = (tag.parents || []).map((parent) => parent.label);
  return parents.length ? element("p", "crumbs", `in ${parents.join(" › ")}`) : null;
}

function why(evidence) {
  if (!evidence) return null;
  const parts = [];
  if (evidence.words && evidence.words.length) parts.push(`words: ${evidence.words.join(", ")}`);
  if (typeof evidence.cosine === "number") parts.push(`similarity ${evidence.cosine.toFixed(2)}`);
  if (evidence.dense_rank) parts.push(`by meaning no.\u00a0${evidence.dense_rank}`);
  if (evidence.lexical_rank) parts.push(`by words no.\u00a0${evidence.lexical_rank}`);
  return parts.length ? element("p", "why", parts.join(" · ")) : null;
}

function tagItem(tag) {
  const item = element("li", "tag");
  const row = element("div", "tag-row");
  row.append(element("span", "tag-label", tag.label), element("span", "tag-probability", percent(tag.probability)));
  const bar = element("progress");
  bar.max = 1;
  bar.value = tag.probability;
  bar.setAttribute("aria-hidden", "true");
  item.dataset.key = tag.key;
  item.append(row, ...[crumbs(tag), bar, why(tag.evidence)].filter(Boolean));
  return item;
}

function showTags() {
  const threshold = Number(at("threshold").value) / 100;
  let shown = 0;
  for (const [place, item] of [...at("tags").children].entries()) {
    item.hidden = tags[place].probability < threshold;
    shown += item.hidden ? 0 : 1;
  }
  const value = percent(threshold);
  at("threshold-value").textContent = value;
  at("threshold").setAttribute("aria-valuetext", `${Math.round(threshold * 100)} percent`);
  at("empty").hidden = shown > 0;
  if (!tags.length) return;
  at("summary").textContent = shown === tags.length ? `${shown} ${shown === 1 ? "tag" : "tags"}` : `${shown} of ${tags.length} tags`;
  if (!shown) at("empty").textContent = `No tag has a probability of ${value} or more.`;
}

function showResult(reply) {
  const result = reply.results[0];
  tags = result.tags;
  showIdentity(reply.bundle_id);
  at("tags").replaceChildren(...tags.map(tagItem));
  if (!tags.length) {
    at("summary").textContent = "No tags";
    at("empty").textContent = result.reason === "empty" ? "There is no text to tag." : `No tags${result.reason ? `: ${result.reason}` : ""}.`;
  }
  showTags();
}

// Tags of an earlier text beside an error about this one would be taken for its own.
function clearTags() {
  tags = [];
  at("tags").replaceChildren();
  at("summary").textContent = "";
  at("empty").textContent = "Tags appear here, the most probable first.";
  at("empty").hidden = false;
}

async function tagText(event) {
  event.preventDefault();
  if (busy) return;
  at("error").textContent = "";
  const text = at("text").value;
  if (!text.trim()) {
    at("error").textContent = "Enter a text first.";
    at("text").focus();
    return;
  }
  setBusy(true);
  try {
    const title = at("title").value;
    showResult(await call("v1/tag", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ documents: [title.trim() ? { title, text } : { text }], top_k: Number(at("top-k").value), min_probability: 0, explain: true }),
    }));
  } catch (error) {
    clearTags();
    at("error").textContent = error.message;
    askForKey(error);
  } finally {
    setBusy(false);
  }
}

function setBusy(state) {
  busy = state;
  at("submit").setAttribute("aria-disabled", String(state));
  at("submit").textContent = state ? "Tagging…" : "Tag";
}

// The number and the least probability that were chosen for this bundle; the slider still shows less.
function useDefaults({ defaults }) {
  if (!defaults || (defaults.top_k === 5 && defaults.min_probability === 0)) return;
  at("top-k").prepend(new Option(`${defaults.top_k} (this bundle's own)`, defaults.top_k, true, true));
  at("threshold").value = Math.round(100 * defaults.min_probability);
  showTags();
}

async function findLabels(event) {
  event.preventDefault();
  try {
    const query = at("query").value;
    const { labels } = await call(`v1/labels?q=${encodeURIComponent(query)}&limit=${MOST_LABELS + 1}`);
    at("labels").replaceChildren(...labels.slice(0, MOST_LABELS).map((label) => {
      const item = element("li", "", label.label);
      item.append(element("span", "key mono", label.key));
      return item;
    }));
    const found = labels.length > MOST_LABELS ? `The first ${MOST_LABELS} labels found` : `${labels.length} ${labels.length === 1 ? "label" : "labels"} found`;
    at("label-count").textContent = found;
  } catch (error) {
    at("labels").replaceChildren();
    at("label-count").textContent = error.message;
    askForKey(error);
  }
}

at("tag-form").addEventListener("submit", tagText);
at("label-form").addEventListener("submit", findLabels);
at("threshold").addEventListener("input", showTags);
at("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) tagText(event);
});
call("healthz").then(
  (health) => showIdentity(health.bundle_id),
  (error) => { at("identity").textContent = error.message; },
);
call("readyz").then(useDefaults, () => {});
