// Uses the playground as a person would, for a test: fills in the form as the page's server says, and tells what is shown.
const element = (id) => document.getElementById(id);
const form = element("form");
const pause = () => new Promise((resolve) => setTimeout(resolve, 20));

/** Waits for the router, fills in fields, and waits until what is shown belongs to them. */
async function use({ prompt, fields = {}, example }) {
  while (!element("status").textContent.startsWith("Version") || element("answer").hidden) await pause();
  element("json").textContent = "";
  element("error").textContent = "";
  if (example !== undefined) element("examples").children[example].click();
  else {
    element("prompt").value = prompt;
    for (const [name, value] of Object.entries(fields)) form[name].value = value;
    form.dispatchEvent(new Event("input", { bubbles: true }));
  }
  const wanted = JSON.stringify(element("prompt").value);
  while (!element("json").textContent.includes(wanted) && element("error").textContent === "") await pause();
  return {
    title: document.title,
    error: element("error").hidden ? null : element("error").textContent,
    model: element("model").textContent,
    facts: element("facts").innerText,
    reasons: element("reasons").innerText,
    json: element("json").textContent,
    regions: [...form.region.options].map(({ text }) => text),
    unlabelled: [...form.elements]
      .filter((field) => field.matches("input, select, textarea") && field.labels.length === 0)
      .map(({ name }) => name),
  };
}

for (;;) {
  const next = await fetch("/next");
  if (next.status !== 200) break;
  const shown = await use(await next.json());
  await fetch("/answer", { method: "POST", headers: { "x-status": "200" }, body: JSON.stringify(shown) });
}
