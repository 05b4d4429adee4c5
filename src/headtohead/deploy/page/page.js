"use strict";
const at = (id) => document.getElementById(id);
const made = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text; // never as HTML: names may be anything
  return element;
};
const percent = (share) => `${(100 * share).toFixed(1)} %`;

function say(text, bad) {
  at("status").textContent = text;
  at("status").className = bad ? "bad" : "";
}

function picture(evidence) {
  const figure = made("figure");
  const image = made("img");
  image.src = evidence.image;
  image.alt = `Where it finds evidence for ${evidence.label}`;
  const text = `for ${evidence.label}, ${percent(evidence.probability)} (±${evidence.limit.toPrecision(2)})`;
  figure.append(image, made("figcaption", "", text));
  return figure;
}

function card(found) {
  const box = made("article", "head");
  const bar = made("div", "bar");
  const fill = made("div");
  fill.style.width = percent(found.evidence[0].probability).replace(" ", "");
  bar.append(fill);
  const maps = made("div", "maps");
  maps.append(...found.evidence.map(picture));
  const kind = found.exact
    ? "the head's own maps: their mean is the logit"
    : "Grad-CAM, an approximation: its colours need not add up to the answer";
  box.append(
    made("h2", "", `${found.head}, seed ${found.seed}`),
    made("p", "answer", `${found.evidence[0].label}: ${percent(found.evidence[0].probability)}`),
    bar, made("p", "note", `${found.told}; ${kind}`), maps,
  );
  return box;
}

async function ask(file) {
  if (!file) return;
  say("Looking …");
  at("result").hidden = true;
  try {
    const answer = await fetch("/predict", { method: "POST", body: file });
    const found = await answer.json();
    if (!answer.ok) { say(found.error, true); return; }
    at("photograph").src = found.photograph;
    at("heads").replaceChildren(...found.heads.map(card));
    at("result").hidden = false;
    say("");
  } catch {
    say("The program behind this page does not answer: is it still running?", true);
  }
}

at("file").addEventListener("change", (event) => ask(event.target.files[0]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") ask(event.dataTransfer.files[0]);
  });
}
fetch("/about").then((answer) => answer.json()).then((about) => { at("about").textContent = about.text; });
