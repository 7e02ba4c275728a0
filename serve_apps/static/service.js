// Asking the service, and its refusals in words.

export const at = (id) => document.getElementById(id);

export function element(name, className, ...content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...content.filter((part) => part !== undefined && part !== null));
  return made;
}

export class AnswerError extends Error {
  constructor(status, reply, retryAfter) {
    super(inWords(status, reply, retryAfter));
    this.status = status;
    this.retryAfter = Number(retryAfter) || 1;
  }
}

function inWords(status, reply, retryAfter) {
  const problem = (reply && Array.isArray(reply.detail) && reply.detail[0]) || {};
  const message = typeof problem.msg === "string" ? problem.msg : "";
  const place = Array.isArray(problem.loc) ? problem.loc.slice(1).join(" › ") : "";
  if (status === 401) {
    return at("key").value ? "This API key is not known." : "This service needs an API key. Enter yours and try again.";
  }
  if (status === 413) return "The text is too long for the service. Shorten it and try again.";
  if (status === 429 || status === 503) {
    const wait = retryAfter ? ` Try again in ${retryAfter} s.` : " Try again in a moment.";
    return `${status === 429 ? "Too many requests." : "The service is busy or not ready."}${wait}`;
  }
  if (status >= 500) return "The service has a fault. The request id in its log is " + ((reply && reply.request_id) || "unknown") + ".";
  return `The service refused this${place ? ` (${place})` : ""}: ${message || `status ${status}`}.`;
}

export function keyHeader() {
  return at("key").value ? { Authorization: `Bearer ${at("key").value}` } : {};
}

export async function call(path, options = {}) {
  const headers = { Accept: "application/json", ...options.headers, ...keyHeader() };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The service cannot be reached. Check the connection and try again.");
  }
  const reply = await answer.json().catch(() => null);
  if (!answer.ok) throw new AnswerError(answer.status, reply, answer.headers.get("Retry-After"));
  if (reply === null) throw new Error("The service sent an answer that this page cannot read.");
  return reply;
}

export function post(path, body, signal) {
  return call(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
}

// An error is said once, where a person looks: in view, also on a phone.
export function showError(box, error) {
  box.textContent = error.message;
  box.scrollIntoView({ block: "nearest" });
  if (error.status !== 401) return;
  at("key-field").hidden = false;
  at("key").focus();
}
