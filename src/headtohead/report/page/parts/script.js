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

  // What a link leads to is unfolded.
  function unfold() {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
    if (target) target.scrollIntoView();
  }
  addEventListener("hashchange", unfold);
  for (const link of document.querySelectorAll('a[href^="#"]')) {
    link.addEventListener("click", () => { if (link.hash === location.hash) unfold(); });
  }
  unfold();

  // A term's explanation, beside it, under the pointer and the focus; a touch opens it by itself.
  for (const term of document.querySelectorAll(".term")) {
    const about = document.getElementById(term.getAttribute("popovertarget"));
    if (!about || !about.showPopover) break;
    const show = () => {
      if (!about.matches(":popover-open")) about.showPopover();
      const [at, box] = [term.getBoundingClientRect(), about.getBoundingClientRect()];
      const below = at.bottom + 6 + box.height < innerHeight;
      about.style.inset = "auto";
      about.style.left = `${Math.max(8, Math.min(innerWidth - box.width - 8, at.left))}px`;
      about.style.top = `${below ? at.bottom + 6 : Math.max(8, at.top - box.height - 6)}px`;
    };
    const leave = () => { if (about.matches(":popover-open")) about.hidePopover(); };
    term.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") show(); });
    term.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse" && document.activeElement !== term) leave(); });
    term.addEventListener("focus", show);
    term.addEventListener("blur", leave);
    term.addEventListener("click", show);
  }

  // On paper nothing can be unfolded.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const part of folded) part.open = true;
  });
  addEventListener("afterprint", () => { for (const part of folded) part.open = false; });

  // Tables that sort.
  for (const button of document.querySelectorAll("th button:not(.term)")) {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const body = head.closest("table").tBodies[0];
      const at = head.cellIndex;
      const sorted = head.getAttribute("aria-sort") || (head.dataset.first ? "descending" : "ascending");
      const down = sorted === "descending";
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
