"use strict";
(() => {
  document.documentElement.classList.add("js");
  const charts = JSON.parse(document.getElementById("values").textContent);
  const hidden = new Set();

  // Values under the pointer, or under the arrow keys.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  const dot = document.createElement("div");
  dot.className = "dot";
  dot.hidden = true;

  function hide() { tip.hidden = dot.hidden = true; }

  function show(plot, series, at) {
    const svg = plot.querySelector("svg");
    const box = svg.viewBox.baseVal;
    const scale = svg.clientWidth / box.width || svg.getBoundingClientRect().width / box.width;
    const [x, y] = series.places[at].map((value) => value * scale);
    plot.append(dot, tip);
    tip.textContent = `${series.label}\n${series.said[at]}`;
    tip.hidden = dot.hidden = false;
    dot.style.left = `${x}px`;
    dot.style.top = `${y}px`;
    const half = tip.offsetWidth / 2;
    const left = Math.max(half, Math.min(plot.scrollWidth - half, x)) - half;
    tip.style.left = `${left}px`;
    tip.style.top = y > tip.offsetHeight + 14 ? `${y - tip.offsetHeight - 12}px` : `${y + 14}px`;
  }

  const visible = (name) => charts[name].filter((series) => !hidden.has(series.head));

  function nearest(name, x, y) {
    let found = null;
    let least = 30 * 30;
    for (const series of visible(name)) {
      series.places.forEach(([px, py], at) => {
        const far = (px - x) ** 2 + (py - y) ** 2;
        if (far <= least) { least = far; found = [series, at]; }
      });
    }
    return found;
  }

  for (const plot of document.querySelectorAll(".plot")) {
    const name = plot.dataset.chart;
    const svg = plot.querySelector("svg");
    let focus = [0, 0];
    const pointed = (event) => {
      const place = new DOMPoint(event.clientX, event.clientY)
        .matrixTransform(svg.getScreenCTM().inverse());
      const found = nearest(name, place.x, place.y);
      if (found) show(plot, ...found); else hide();
    };
    plot.addEventListener("pointermove", pointed);
    plot.addEventListener("pointerdown", pointed);
    plot.addEventListener("pointerleave", hide);
    plot.addEventListener("blur", hide);
    plot.addEventListener("keydown", (event) => {
      const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
      if (event.key === "Escape") hide();
      const known = visible(name);
      if (!step || !known.length) return;
      event.preventDefault();
      const row = (focus[0] + step[0] + known.length) % known.length;
      const length = known[row].places.length;
      focus = [row, Math.max(0, Math.min(length - 1, focus[1] + step[1]))];
      show(plot, known[row], focus[1]);
      spoken.textContent = tip.textContent;
    });
  }
  const spoken = document.getElementById("spoken");

  // Which heads, which quantity, which scale.
  for (const box of document.querySelectorAll("[data-toggle]")) {
    box.addEventListener("change", () => {
      const head = Number(box.dataset.toggle);
      if (box.checked) hidden.delete(head); else hidden.add(head);
      for (const part of document.querySelectorAll(`.plot [data-head="${head}"]`)) {
        part.style.display = box.checked ? "" : "none";
      }
      for (const twin of document.querySelectorAll(`[data-toggle="${head}"]`)) twin.checked = box.checked;
      hide();
    });
  }
  const quantity = document.getElementById("quantity");
  const scales = document.querySelectorAll("input[name=scale]");
  function choose() {
    const scale = [...scales].find((radio) => radio.checked).value;
    for (const panel of document.querySelectorAll(".panel")) {
      panel.classList.toggle("on", panel.dataset.quantity === quantity.value && panel.dataset.scale === scale);
    }
    hide();
  }
  if (quantity) for (const control of [quantity, ...scales]) control.addEventListener("change", choose);

  // On paper nothing can be unfolded.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const part of folded) part.open = true;
  });
  addEventListener("afterprint", () => { for (const part of folded) part.open = false; });

  // Tables that sort.
  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const body = head.closest("table").tBodies[0];
      const at = head.cellIndex;
      const down = head.getAttribute("aria-sort") === "descending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "ascending" : "descending");
      const key = (row) => row.cells[at].dataset.order;
      const order = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === "");
        const numbers = head.dataset.kind === "text" ? x.localeCompare(y) : Number(x) - Number(y);
        return down ? numbers : -numbers;
      };
      body.append(...[...body.rows].sort(order));
    });
  }
})();
