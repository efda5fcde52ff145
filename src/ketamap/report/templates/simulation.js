"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = read("figures-data");
  const views = read("views-data");
  const config = { displaylogo: false, responsive: true, displayModeBar: false };
  const boxes = Array.from(document.querySelectorAll("[data-figure]"));
  const tip = document.getElementById("tip");
  const moment = document.getElementById("moment");
  let view = views[0];

  const ticksOf = (v) => ({ "xaxis.range": v.range.slice(), "xaxis.tickvals": v.tickvals, "xaxis.ticktext": v.ticktext });

  function showTip(text, event) {
    tip.hidden = false;
    tip.textContent = text;
    const left = Math.max(8, Math.min(event.clientX + 16, window.innerWidth - tip.offsetWidth - 8));
    const below = event.clientY + 18 + tip.offsetHeight < window.innerHeight;
    tip.style.left = left + "px";
    tip.style.top = (below ? event.clientY + 18 : event.clientY - tip.offsetHeight - 12) + "px";
  }

  // The panels: every one holds its values at the same moments.
  function nearest(times, t) {
    let low = 0, high = times.length - 1;
    while (high - low > 1) {
      const mid = (low + high) >> 1;
      if (times[mid] <= t) low = mid; else high = mid;
    }
    return t - times[low] <= times[high] - t ? low : high;
  }

  const timeText = (t) => (view.unit === "days" ? (t / 24).toFixed(2) + " days" : t < 2 ? (60 * t).toFixed(0) + " min" : t.toFixed(1) + " h");

  function memberLines(figure, index) {
    return figure.data.filter((trace) => trace.meta).map((trace) => {
      const number = trace.text.find((text) => text);
      return (number ? number + " " : "") + trace.meta + ": " + Number(trace.y[index].toPrecision(3));
    });
  }

  function readAt(t) {
    for (const box of boxes) {
      const figure = figures[box.dataset.figure];
      const times = figure.data[figure.data.length - 1].x;
      document.querySelector('[data-value="' + box.dataset.figure + '"]').textContent = figure.meta.text[nearest(times, t)];
      const axis = box._fullLayout.xaxis;
      const cursor = box.querySelector(".cursor");
      const inside = t >= axis.range[0] && t <= axis.range[1];
      cursor.style.display = inside ? "block" : "none";
      if (inside) cursor.style.left = axis._offset + axis.l2p(t) + "px";
    }
    moment.textContent = "at " + timeText(t) + ": median [95 % of draws]";
  }

  function leave() {
    for (const value of document.querySelectorAll(".panel .value")) value.textContent = "";
    for (const cursor of document.querySelectorAll(".cursor")) cursor.style.display = "none";
    moment.textContent = "time in " + view.unit;
    tip.hidden = true;
  }

  for (const box of boxes) {
    const figure = figures[box.dataset.figure];
    Object.assign(figure.layout.xaxis, { range: view.range.slice(), tickvals: view.tickvals, ticktext: view.ticktext });
    Plotly.newPlot(box, figure.data, figure.layout, config);
    const cursor = document.createElement("div");
    cursor.className = "cursor";
    box.append(cursor);
    box.addEventListener("mousemove", (event) => {
      const axis = box._fullLayout.xaxis;
      const t = axis.p2l(event.clientX - box.getBoundingClientRect().left - axis._offset);
      if (t < axis.range[0] || t > axis.range[1]) return;
      readAt(t);
      const times = figure.data[figure.data.length - 1].x;
      const index = nearest(times, t);
      const lines = memberLines(figure, index);
      const title = box.closest(".panel").querySelector("b").textContent;
      showTip([title + " at " + timeText(times[index]), "median [95 %]: " + figure.meta.text[index], ...lines].join("\n"), event);
    });
    box.addEventListener("mouseleave", leave);
  }

  for (const button of document.querySelectorAll("[data-view]")) {
    button.addEventListener("click", () => {
      view = views[Number(button.dataset.view)];
      for (const other of document.querySelectorAll("[data-view]")) other.setAttribute("aria-pressed", String(other === button));
      for (const box of boxes) Plotly.relayout(box, ticksOf(view));
      leave();
    });
  }

  // Members: point at one to make it stand out everywhere, click to keep it so.
  let kept = null;
  function emphasise(name) {
    for (const box of boxes) {
      const data = figures[box.dataset.figure].data;
      const which = data.map((trace, k) => (trace.meta ? k : -1)).filter((k) => k >= 0);
      if (!which.length) continue;
      Plotly.restyle(box, { "line.width": which.map((k) => (data[k].meta === name ? 3 : 1.1)), opacity: which.map((k) => (name === null || data[k].meta === name ? 1 : 0.25)) }, which);
    }
  }
  for (const chip of document.querySelectorAll(".chip")) {
    chip.addEventListener("mouseenter", () => emphasise(chip.dataset.member));
    chip.addEventListener("mouseleave", () => emphasise(kept));
    chip.addEventListener("click", () => {
      kept = kept === chip.dataset.member ? null : chip.dataset.member;
      for (const other of document.querySelectorAll(".chip")) other.setAttribute("aria-pressed", String(other.dataset.member === kept));
      emphasise(kept);
    });
  }

  // Badges and cells: the reason and its sources.
  document.addEventListener("mousemove", (event) => {
    if (event.target.closest && event.target.closest("[data-figure]")) return;
    const target = event.target.closest ? event.target.closest("[data-tip]") : null;
    if (target) showTip(target.dataset.tip, event); else tip.hidden = true;
  });
  document.addEventListener("focusin", (event) => {
    const target = event.target.closest("[data-tip]");
    if (!target) return;
    const at = target.getBoundingClientRect();
    showTip(target.dataset.tip, { clientX: at.left, clientY: at.bottom });
  });
  document.addEventListener("focusout", () => { tip.hidden = true; });

  const PAGE_PX = 855; // A4 within its margins at the zoom of the print style
  const onPaper = (printing) => {
    for (const box of boxes) Plotly.relayout(box, printing ? { width: PAGE_PX / 4 - 12, autosize: false } : { width: null, autosize: true });
    for (const details of document.querySelectorAll("details")) if (printing) details.open = true;
  };
  window.addEventListener("beforeprint", () => onPaper(true));
  window.addEventListener("afterprint", () => onPaper(false));

  const links = new Map(Array.from(document.querySelectorAll("nav.contents a"), (a) => [a.getAttribute("href").slice(1), a]));
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      links.forEach((a) => a.classList.remove("here"));
      links.get(entry.target.id).classList.add("here");
    }
  }, { rootMargin: "-10% 0px -80% 0px" });
  for (const id of links.keys()) watch.observe(document.getElementById(id));
})();
