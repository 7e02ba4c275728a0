// Tags on the page: of one text as a list, of many documents as a list of lists.

import { at, element } from "./service.js";

export const percent = (share) => (share === null ? "not judged" : `${Math.round(share * 100)}%`);
const CHIPS = 4;
const LONGEST_NAME = 120;

function crumbs(tag) {
  const parents = (tag.parents || []).map((parent) => parent.label).reverse(); // told nearest first
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

function verdictButton(document, tag, answer, sign, words, onSaid) {
  const button = element("button", `verdict ${answer}`, sign);
  button.type = "button";
  button.setAttribute("aria-label", `${words}: ${tag.label}`);
  button.title = words;
  button.setAttribute("aria-pressed", String(document.answers[tag.key] === answer));
  button.addEventListener("click", () => {
    if (document.answers[tag.key] === answer) delete document.answers[tag.key];
    else document.answers[tag.key] = answer;
    for (const one of button.parentElement.children) {
      one.setAttribute("aria-pressed", String(one === button && document.answers[tag.key] === answer));
    }
    onSaid();
  });
  return button;
}

function tagItem(document, tag, onSaid) {
  const item = element("li", "tag");
  item.dataset.key = tag.key;
  const buttons = element("span", "verdicts",
    verdictButton(document, tag, "yes", "✓", "Right", onSaid),
    verdictButton(document, tag, "no", "✕", "Wrong", onSaid));
  const row = element("div", "tag-row",
    element("span", "tag-label", tag.label),
    element("span", "tag-end", element("span", "tag-probability", percent(tag.probability)), buttons));
  const bar = element("progress");
  bar.max = 1;
  bar.hidden = tag.probability === null;
  bar.value = tag.probability || 0;
  bar.setAttribute("aria-hidden", "true");
  item.append(row, ...[crumbs(tag), bar, why(tag.evidence)].filter(Boolean));
  return item;
}

function inWords(reason) {
  if (reason === "empty") return "There is no text to tag.";
  return `No tags${reason ? `: ${reason}` : ""}.`;
}

// Fills a list, and gives what shows its tags from a threshold on.
function fill(list, document, onSaid) {
  const items = document.tags.map((tag) => tagItem(document, tag, onSaid));
  list.replaceChildren(...items);
  return (threshold) => items.forEach((item, place) => { item.hidden = document.tags[place].probability < threshold; });
}

function emptyWords(document, threshold) {
  return document.tags.length ? `No tag has a probability of ${percent(threshold)} or more.` : inWords(document.reason);
}

function chipsOf(document, threshold) {
  const shown = document.tags.filter((tag) => tag.probability >= threshold);
  if (!shown.length) return [element("span", "hint", emptyWords(document, threshold))];
  const more = shown.length > CHIPS ? [element("span", "chip more", `+${shown.length - CHIPS}`)] : [];
  return [...shown.slice(0, CHIPS).map((tag) => element("span", "chip", tag.label)), ...more];
}

// A document that opens to its tags, which are made then, and what shows them from a threshold on.
function documentItem(document, onSaid) {
  const chips = element("span", "chips");
  const name = (document.title || document.text).slice(0, LONGEST_NAME);
  const list = element("ol", "tags");
  list.setAttribute("aria-label", `Tags of ${document.id}`);
  const details = element("details", "document",
    element("summary", "", element("span", "doc-name", element("span", "mono hint", document.id), ` ${name}`), chips),
    list);
  let filter = null;
  let last = 0;
  details.addEventListener("toggle", () => {
    if (!filter) filter = fill(list, document, onSaid);
    filter(last);
  });
  const show = (threshold) => {
    last = threshold;
    chips.replaceChildren(...chipsOf(document, threshold));
    if (filter) filter(threshold);
  };
  return [element("li", "", details), show];
}

let filters = [];

// `documents`: what was sent, with tags, reason and the answers of the person at the page.
export function showResults(documents, many, threshold, onSaid) {
  at("tags").hidden = many;
  at("documents").hidden = !many;
  at("after").hidden = !documents.length;
  if (many) {
    const items = documents.map((one) => documentItem(one, onSaid));
    at("documents").replaceChildren(...items.map(([item]) => item));
    filters = items.map(([, show]) => show);
  } else filters = documents.map((one) => fill(at("tags"), one, onSaid));
  filterResults(documents, many, threshold);
}

export function filterResults(documents, many, threshold) {
  if (!documents.length) return;
  for (const filter of filters) filter(threshold);
  const count = documents.reduce((sum, one) => sum + one.tags.length, 0);
  const shown = documents.reduce((sum, one) => sum + one.tags.filter((tag) => tag.probability >= threshold).length, 0);
  at("empty").hidden = many || shown > 0;
  if (!many && !shown) at("empty").textContent = emptyWords(documents[0], threshold);
  const tags = shown === count ? `${count} ${count === 1 ? "tag" : "tags"}` : `${shown} of ${count} tags`;
  at("summary").textContent = many ? `${documents.length} documents, ${tags}` : count ? tags : "No tags";
}

export function clearResults() {
  for (const id of ["tags", "documents"]) at(id).replaceChildren();
  at("summary").textContent = "";
  at("empty").textContent = "Tags appear here, the most probable first.";
  at("empty").hidden = false;
  at("after").hidden = true;
}
