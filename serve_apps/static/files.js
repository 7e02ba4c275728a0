// Documents from dropped files: CSV, TSV, JSON lines, JSON lists and plain texts.

export const MOST_DOCUMENTS = 1000;
export const MOST_CHARACTERS = 100000; // of one document, as the service takes it
const MOST_BYTES = 16 * 1024 * 1024;
const COLUMNS = {
  id: ["id", "doc_id", "uid", "key", "identifier"],
  title: ["title", "titel", "titre", "name", "heading"],
  text: ["text", "content", "abstract", "body", "description", "fulltext", "full_text"],
};

// {documents, more}: at most MOST_DOCUMENTS of all files, and whether there were more.
export async function readFiles(files) {
  const found = [];
  const size = files.reduce((sum, file) => sum + file.size, 0);
  if (size > MOST_BYTES) throw new Error(`These are more than ${MOST_BYTES / 2 ** 20} MiB. For large files there is “lmtx tag”.`);
  for (const file of files) found.push(...documentsOf(file.name, decoded(file.name, await file.arrayBuffer())));
  if (!found.length) throw new Error("There is no document in this.");
  return { documents: found.slice(0, MOST_DOCUMENTS), more: found.length > MOST_DOCUMENTS };
}

function decoded(name, bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`${name} is not UTF-8 text. Save it as UTF-8 and try again.`);
  }
}

function documentsOf(name, text) {
  const ending = name.toLowerCase().split(".").pop();
  if (ending === "csv" || ending === "tsv") return fromTable(name, text, ending === "tsv" ? "\t" : null);
  if (["jsonl", "ndjson", "json"].includes(ending)) return fromObjects(name, objectsOf(name, text));
  if (ending === "txt" || ending === "text" || ending === "md") return text.trim() ? [clean({ id: name, text })] : [];
  throw new Error(`${name}: only CSV, TSV, JSONL, JSON and TXT are read here.`);
}

function fromTable(name, text, given) {
  const rows = parseTable(text, given || delimiterOf(text));
  if (!rows.length) return [];
  const heads = rows[0].map((head) => head.trim());
  return fromObjects(name, rows.slice(1).map((cells) => Object.fromEntries(heads.map((head, place) => [head, cells[place] ?? ""]))), heads);
}

function delimiterOf(text) {
  const head = text.split(/\r?\n/, 1)[0].replace(/"[^"]*"/g, "");
  return [",", ";", "\t", "|"].map((one) => [head.split(one).length, one]).sort((a, b) => b[0] - a[0])[0][1];
}

// Rows of cells, with quotes, doubled quotes and line breaks inside them.
export function parseTable(text, delimiter) {
  const rows = [];
  let row = [], cell = "", quoted = false;
  for (let place = 0; place < text.length; place += 1) {
    const char = text[place];
    if (quoted) {
      if (char !== '"') cell += char;
      else if (text[place + 1] === '"') { cell += '"'; place += 1; }
      else quoted = false;
    } else if (char === '"' && !cell) quoted = true;
    else if (char === delimiter) { row.push(cell); cell = ""; }
    else if (char === "\n" || char === "\r") {
      if (char === "\r" && text[place + 1] === "\n") place += 1;
      row.push(cell);
      if (row.length > 1 || cell) rows.push(row);
      row = []; cell = "";
    } else cell += char;
  }
  if (quoted) throw new Error(`A quotation mark in row ${rows.length + 1} is never closed.`);
  if (cell || row.length) rows.push([...row, cell]);
  return rows;
}

function objectsOf(name, text) {
  if (text.trim().startsWith("[")) {
    try {
      return JSON.parse(text);
    } catch {
      throw new Error(`${name} is no JSON list.`);
    }
  }
  return text.split(/\r?\n/).flatMap((line, number) => {
    if (!line.trim()) return [];
    try {
      return [JSON.parse(line)];
    } catch {
      throw new Error(`${name}: line ${number + 1} is not JSON.`);
    }
  });
}

function fromObjects(name, objects, heads) {
  const names = heads || [...new Set(objects.slice(0, 100).flatMap((one) => (one && typeof one === "object" ? Object.keys(one) : [])))];
  const column = (kind) => COLUMNS[kind].map((known) => names.find((head) => head.toLowerCase() === known)).find(Boolean);
  const [id, title, text] = [column("id"), column("title"), column("text")];
  if (names.length && !title && !text) {
    throw new Error(`${name} has no field of text. It has ${names.map((one) => `“${one}”`).join(", ")}; name one of them “text”.`);
  }
  return objects.map((one, number) => {
    const row = typeof one === "string" ? { text: one } : one || {};
    const [own, from] = [row[id], typeof one === "string" ? "text" : text];
    return clean({ id: own === undefined || own === "" ? String(number + 1) : String(own), title: asText(row[title]), text: asText(row[from]) });
  });
}

const asText = (value) => (value === undefined || value === null ? "" : String(value));

// The service takes neither NUL nor half a character.
function clean(document) {
  const whole = (text) => (text.toWellFormed ? text.toWellFormed() : text).replaceAll("\0", " ");
  const { id, title, text } = document;
  return { id: whole(id).slice(0, 1000), ...(title && title.trim() ? { title: whole(title) } : {}), text: whole(text) };
}
