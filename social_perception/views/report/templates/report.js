// All of the report can be read without this: it adds the cursor through time and sorts the table.
"use strict";
(() => {
  const SIZE = 1000;
  const charts = document.querySelector(".charts");
  if (charts) addCursor(charts);
  document.querySelectorAll("table").forEach(addSorting);
  // A closed part would be missing on paper.
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));

  // The points of a drawn area, [x, y] with y up: the corners on the ground do not belong to the curve.
  function pointsOf(path) {
    const points = [];
    for (const part of (path.getAttribute("d") || "").split("M").filter(Boolean)) {
      for (const pair of part.replace("Z", "").split("L").slice(1, -1)) {
        const [x, y] = pair.split(" ").map(Number);
        points.push([x, SIZE - y]);
      }
    }
    return points;
  }

  // The steps of a drawn count, [x, y] with y up.
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

  // Lowest and highest value drawn near x; null where there is no curve.
  function rangeAt(points, x, reach) {
    let low = Infinity;
    let high = -Infinity;
    for (let place = lastUpTo(points, x + reach); place >= 0 && points[place][0] >= x - reach; place -= 1) {
      low = Math.min(low, points[place][1]);
      high = Math.max(high, points[place][1]);
    }
    return high < 0 ? null : [low / SIZE, high / SIZE];
  }

  function inWords(range) {
    if (!range) return "–";
    const [low, high] = range.map((value) => value.toFixed(2));
    return low === high ? low : `${low}–${high}`;
  }

  function levelOf(value) {
    return ["Neutral", "Low", "Medium", "High"][Math.min(3, Math.floor(3 * value + 0.5))];
  }

  function timeInWords(seconds) {
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
    let rows = null;
    let waiting = false;

    function read() {
      const curves = [...root.querySelectorAll(".person")].map((row) => ({
        cell: row.querySelector(".value"), points: pointsOf(row.querySelector(".curve")),
      }));
      return { curves, group: pointsOf(root.querySelector(".group .curve")), counts: stepsOf(sizes) };
    }

    // Half the mean distance of the curve's points and a little more, so that one is always within reach.
    function reachOf(points) {
      return Math.max(1, points.length > 1 ? 0.6 * (points[points.length - 1][0] - points[0][0]) / (points.length - 1) : 0);
    }

    function show() {
      waiting = false;
      rows = rows || read();
      const x = Number(slider.value);
      const time = timeInWords(start + (end - start) * x / SIZE);
      root.classList.add("on");
      root.style.setProperty("--at", x / SIZE);
      const group = rangeAt(rows.group, x, reachOf(rows.group));
      const step = lastUpTo(rows.counts, x);
      const people = step < 0 ? 0 : Math.round(rows.counts[step][1] / SIZE * Number(sizes.dataset.highest));
      const level = group ? ` ${levelOf((group[0] + group[1]) / 2)}` : "";
      readout.value = `${time} · group ${inWords(group)}${level} · ${people} in view`;
      slider.setAttribute("aria-valuetext", readout.value);
      title.textContent = `at ${time}`;
      for (const row of rows.curves) row.cell.textContent = inWords(rangeAt(row.points, x, reachOf(row.points)));
    }

    function moveTo(x) {
      slider.value = x;
      if (!waiting) requestAnimationFrame(show);
      waiting = true;
    }

    function rest() {
      root.classList.remove("on");
      readout.value = "";
      slider.removeAttribute("aria-valuetext");
      title.textContent = title.dataset.rest;
      root.querySelectorAll(".value[data-rest]").forEach((cell) => { cell.textContent = cell.dataset.rest; });
    }

    slider.closest("[hidden]").hidden = false;
    slider.addEventListener("input", () => moveTo(slider.value));
    slider.addEventListener("focus", () => moveTo(slider.value));
    slider.addEventListener("keydown", (event) => { if (event.key === "Escape") rest(); });
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
        // Names and times begin with the first, figures with the largest.
        const first = column < 2 ? "ascending" : "descending";
        const other = first === "ascending" ? "descending" : "ascending";
        const order = heading.getAttribute("aria-sort") === first ? other : first;
        headings.forEach((each) => each.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", order);
        sort(body, column, order === "ascending" ? 1 : -1);
      });
    });
  }

  // What is unknown (NaN) stands at the end in both orders.
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
