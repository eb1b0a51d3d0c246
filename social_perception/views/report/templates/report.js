// The report is complete without this script, which adds the time cursor and sorts the table.
"use strict";
(() => {
  const SIZE = 1000;
  const charts = document.querySelector(".charts");
  if (charts) addCursor(charts);
  document.querySelectorAll("table").forEach(addSorting);
  // Closed parts would be missing in print.
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));

  // The points of a path, [x, y] with y up, without the corners at 0 that close an area.
  function pointsOf(path) {
    if (!path) return [];
    const points = [];
    for (const part of (path.getAttribute("d") || "").split("M").filter(Boolean)) {
      const pairs = part.replace("Z", "").split("L");
      for (const pair of part.endsWith("Z") ? pairs.slice(1, -1) : pairs) {
        const [x, y] = pair.split(" ").map(Number);
        points.push([x, SIZE - y]);
      }
    }
    return points;
  }

  function curveOf(plot) {
    const [mean, low, high] = ["mean", "low", "high"].map((name) => pointsOf(plot.querySelector(`path.${name}`)));
    return { mean, low, high: high.length ? high : low };
  }

  // The steps of a count's path, [x, y] with y up.
  function stepsOf(path) {
    const found = (path.getAttribute("d") || "").matchAll(/H(\d+)V(\d+)/g);
    return Array.from(found, (step) => [Number(step[1]), SIZE - Number(step[2])]).slice(0, -1);
  }

  function lastUpTo(points, x) {
    let low = 0;
    let high = points.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (points[middle][0] <= x) low = middle + 1; else high = middle;
    }
    return low - 1;
  }

  // The curve's values within reach of x; null where it has a gap.
  function near(curve, x, reach) {
    const valuesOf = (points) => {
      const values = [];
      for (let place = lastUpTo(points, x + reach); place >= 0 && points[place][0] >= x - reach; place -= 1) {
        values.push(points[place][1] / SIZE);
      }
      return values;
    };
    const means = valuesOf(curve.mean);
    if (!means.length) return null;
    const mean = means.reduce((sum, value) => sum + value, 0) / means.length;
    return { mean, low: Math.min(...valuesOf(curve.low)), high: Math.max(...valuesOf(curve.high)) };
  }

  // A range where the values differ, else their mean.
  function rangeText(values) {
    if (!values) return "–";
    const far = values.high - values.low > 0.1;
    return far ? `${values.low.toFixed(2)}–${values.high.toFixed(2)}` : values.mean.toFixed(2);
  }

  function levelOf(value) {
    return ["Neutral", "Low", "Medium", "High"][Math.min(3, Math.floor(3 * value + 0.5))];
  }

  function timeText(seconds) {
    const tenths = Math.round(seconds * 10);
    const two = (value) => String(value).padStart(2, "0");
    if (seconds >= 3600) {
      const whole = Math.round(seconds);
      return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
    }
    return `${Math.floor(tenths / 600)}:${two(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
  }

  function addCursor(root) {
    const start = Number(root.dataset.start);
    const end = Number(root.dataset.end);
    const slider = root.querySelector("#scrub");
    const readout = root.querySelector("#readout");
    const title = root.querySelector(".value-title");
    const sizes = root.querySelector(".sizes");
    const groupPlot = root.querySelector(".group .plot");
    const group = curveOf(groupPlot);
    const counts = stepsOf(sizes);
    const curves = new Map();
    const visibleRows = new Set();
    const line = document.createElement("div");
    line.className = "cursor";
    line.hidden = true;
    root.append(line);
    let waiting = false;

    // There may be hundreds of rows: only visible ones are updated.
    const observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) visibleRows.add(target); else visibleRows.delete(target);
        if (isIntersecting && !line.hidden) showRow(target);
      }
    });
    root.querySelectorAll(".person").forEach((row) => observer.observe(row));

    // A little more than half the mean distance of a curve's points, so that one is always within reach.
    function reachOf(points) {
      const span = points.length ? points[points.length - 1][0] - points[0][0] : 0;
      return Math.max(1, points.length > 1 ? 0.6 * span / (points.length - 1) : 0);
    }

    function showRow(row) {
      if (!curves.has(row)) curves.set(row, curveOf(row));
      const curve = curves.get(row);
      row.querySelector(".value").textContent = rangeText(near(curve, Number(slider.value), reachOf(curve.mean)));
    }

    function show() {
      waiting = false;
      const x = Number(slider.value);
      const time = timeText(start + (end - start) * x / SIZE);
      const offset = groupPlot.getBoundingClientRect().left - root.getBoundingClientRect().left;
      line.hidden = false;
      line.style.transform = `translateX(${offset + groupPlot.clientWidth * x / SIZE}px)`;
      const values = near(group, x, reachOf(group.mean));
      const step = lastUpTo(counts, x);
      const people = step < 0 ? 0 : Math.round(counts[step][1] / SIZE * Number(sizes.dataset.highest));
      readout.value = `${time} · group ${rangeText(values)}${values ? ` ${levelOf(values.mean)}` : ""} · ${people} in view`;
      slider.setAttribute("aria-valuetext", readout.value);
      title.textContent = `at ${time}`;
      visibleRows.forEach(showRow);
    }

    function moveTo(x) {
      slider.value = x;
      if (!waiting) requestAnimationFrame(show);
      waiting = true;
    }

    function reset() {
      line.hidden = true;
      readout.value = "";
      slider.removeAttribute("aria-valuetext");
      title.textContent = title.dataset.rest;
      root.querySelectorAll(".value[data-rest]").forEach((cell) => { cell.textContent = cell.dataset.rest; });
    }

    slider.closest("[hidden]").hidden = false;
    slider.addEventListener("input", () => moveTo(slider.value));
    slider.addEventListener("focus", () => moveTo(slider.value));
    slider.addEventListener("keydown", (event) => { if (event.key === "Escape") reset(); });
    addEventListener("beforeprint", reset);
    addEventListener("resize", () => { if (!line.hidden) show(); });
    root.addEventListener("pointermove", (event) => {
      const plot = event.target.closest(".plot");
      if (!plot) return;
      const box = plot.getBoundingClientRect();
      moveTo(Math.round((event.clientX - box.left) / box.width * SIZE));
    });
    document.querySelectorAll("a[data-at]").forEach((link) => link.addEventListener("click", () => {
      moveTo(end > start ? Math.round((Number(link.dataset.at) - start) / (end - start) * SIZE) : 0);
    }));
  }

  function addSorting(table) {
    const body = table.tBodies[0];
    const headings = [...table.tHead.rows[0].cells];
    document.querySelectorAll(".hint").forEach((hint) => { hint.hidden = false; });
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = heading.textContent;
      heading.replaceChildren(button);
      button.addEventListener("click", () => {
        // Names and times start with the first, figures with the largest.
        const first = column < 2 ? "ascending" : "descending";
        const other = first === "ascending" ? "descending" : "ascending";
        const order = heading.getAttribute("aria-sort") === first ? other : first;
        headings.forEach((each) => each.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", order);
        sort(body, column, order === "ascending" ? 1 : -1);
      });
    });
  }

  // Unknown values (NaN) are at the end in both orders.
  function sort(body, column, sign) {
    const keyOf = (row) => Number(row.cells[column].dataset.sort);
    const rows = [...body.rows].map((row, place) => ({ row, place, key: keyOf(row) }));
    rows.sort((one, other) => {
      if (Number.isNaN(one.key) || Number.isNaN(other.key)) {
        return Number.isNaN(one.key) - Number.isNaN(other.key) || one.place - other.place;
      }
      return sign * (one.key - other.key) || one.place - other.place;
    });
    body.append(...rows.map((each) => each.row));
  }
})();
