// Results and requests as text for other programs.

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

// A cell that a spreadsheet would take for a formula is text here.
function cell(value) {
  const text = /^[=+\-@\t\r]/.test(String(value)) && typeof value === "string" ? `'${value}` : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// A row for each tag, and one without a label for a document that has none.
export function asCsv(results) {
  const rows = results.flatMap(({ id, tags }) =>
    (tags.length ? tags : [{ key: "", label: "", probability: "" }]).map((tag) => [id, tag.key, tag.label, tag.probability]));
  return [["id", "label_key", "label", "probability"], ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

export function asJson(results) {
  return JSON.stringify(results.map(({ id, tags, reason }) => ({
    id, tags: tags.map(({ key, label, probability }) => ({ key, label, probability })), reason,
  })), null, 1);
}

export function asCurl(body, withKey) {
  const url = new URL("v1/tag", document.baseURI).href;
  const key = withKey ? ` \\\n  -H "Authorization: Bearer $LMTX_KEY"` : "";
  return `curl ${quoted(url)}${key} \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(JSON.stringify(body))}\n`;
}

export function asPython(body, withKey) {
  const url = new URL("v1/tag", document.baseURI).href;
  const key = withKey ? `\nheaders["Authorization"] = "Bearer " + os.environ["LMTX_KEY"]` : "";
  return `import json
${withKey ? "import os\n" : ""}import urllib.request

headers = {"Content-Type": "application/json"}${key}
body = json.loads(${JSON.stringify(JSON.stringify(body))})
request = urllib.request.Request(${JSON.stringify(url)}, json.dumps(body).encode(), headers)
with urllib.request.urlopen(request) as answer:
    for result in json.load(answer)["results"]:
        for tag in result["tags"]:
            print(result["id"], tag["key"], tag["label"], tag["probability"], sep="\\t")
`;
}

// Also where the page is not served over HTTPS, and browsers give no clipboard.
export async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch { /* not allowed: the old way then */ }
  }
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "away";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}

export function download(name, text, kind) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: kind }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
