// The page that tries the model. It asks the service beside it, by addresses relative to its own, so that it works behind any
// path prefix. What comes from outside, a class name say, only ever becomes text of the page, never markup.
(() => {
  "use strict";

  const TIMEOUT_MS = 30000;
  const MAX_PATHS = 100;
  // The service answers at /try and at /try/.
  const above = location.pathname.endsWith("/") ? "../" : "";
  const at = (id) => document.getElementById(id);
  const form = at("question");
  const text = at("text");
  const topK = at("top-k");
  const minConfidence = at("min-confidence");
  const tree = at("tree");

  let asking = null; // the AbortController of the request under way
  let answered = false;

  // ---------------------------------------------------------------- values

  class ShownError extends Error {
    constructor(message, field = null) {
      super(message);
      this.field = field;
    }
  }

  // All are rounded down: what is "at least" is a promise, and no class may look less probable than one below it.
  function percent(share) {
    if (share > 0 && share < 0.001) return "< 0.1 %";
    if (share < 1 && share >= 0.9995) return "> 99.9 %";
    return `${tenths(Math.floor(1000 * share + 1e-6))} %`;
  }

  function atLeast(share) {
    return share >= 0.9995 ? percent(share) : `≥ ${tenths(Math.floor(1000 * share + 1e-6))} %`;
  }

  function atMost(share) {
    return `${tenths(Math.ceil(1000 * share - 1e-6))} %`;
  }

  function tenths(thousandths) {
    return (thousandths / 10).toFixed(1);
  }

  function isPrediction(value) {
    return (
      value !== null &&
      typeof value === "object" &&
      Array.isArray(value.path) &&
      value.path.every((name) => typeof name === "string") &&
      typeof value.probability === "number" &&
      value.probability >= 0 &&
      value.probability <= 1.000001
    );
  }

  // Paths that begin alike share their nodes. A class is as probable as the service says, where a path ends in it; else at
  // least as probable as what is shown below it together.
  function merge(predictions) {
    const top = { children: new Map() };
    for (const [rank, { path, probability }] of predictions.entries()) {
      let node = top;
      for (const name of path) {
        if (!node.children.has(name)) {
          node.children.set(name, { name, said: null, best: false, children: new Map() });
        }
        node = node.children.get(name);
        if (rank === 0) node.best = true;
      }
      if (node !== top) node.said = Math.max(node.said ?? 0, Math.min(probability, 1));
    }
    return settle(top).children;
  }

  function settle(node) {
    const children = [...node.children.values()].map(settle);
    children.sort((a, b) => b.probability - a.probability);
    const below = Math.min(1, children.reduce((sum, child) => sum + child.probability, 0));
    const exact = node.said !== null && node.said >= below;
    return { ...node, children, exact, probability: exact ? node.said : below };
  }

  // ---------------------------------------------------------------- the service

  async function fetchJson(address, options, controller) {
    const timer = setTimeout(() => controller.abort("late"), TIMEOUT_MS);
    let response;
    let body;
    try {
      response = await fetch(address, { ...options, signal: controller.signal, cache: "no-store", referrerPolicy: "no-referrer" });
      body = await response.text();
    } catch (error) {
      if (controller.signal.reason === "late") throw new ShownError(`The service did not answer in ${TIMEOUT_MS / 1000} seconds. Try again later.`);
      if (controller.signal.aborted) throw error;
      throw new ShownError("The service cannot be reached. Is it still running?");
    } finally {
      clearTimeout(timer);
    }
    let value = null;
    try {
      value = JSON.parse(body);
    } catch {
      // An answer that is not JSON is told by its status below.
    }
    if (!response.ok) throw new ShownError(refusal(response.status, value));
    return value;
  }

  function refusal(status, value) {
    const said = value !== null && typeof value === "object" && typeof value.error === "string" ? value.error : "";
    if (status === 413) return `The text is too long for the service. ${said}`.trim();
    if (status >= 400 && status < 500) return `The service refused the text: ${said || `status ${status}`}`;
    return `The service failed (status ${status}). ${said || "Its log says why."}`;
  }

  function question() {
    if (text.value.trim() === "") throw new ShownError("Enter a text first.", text);
    const paths = Number(topK.value);
    if (!Number.isInteger(paths) || paths < 1 || paths > MAX_PATHS) {
      throw new ShownError(`Paths to show is a whole number from 1 to ${MAX_PATHS}.`, topK);
    }
    return { text: text.value, top_k: paths, min_confidence: Number(minConfidence.value) / 100 };
  }

  async function ask() {
    if (asking !== null) asking.abort("newer");
    const controller = new AbortController();
    asking = controller;
    for (const field of [text, topK]) field.removeAttribute("aria-invalid");
    form.setAttribute("aria-busy", "true");
    at("send").textContent = "Classifying…";
    try {
      const asked = question();
      const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(asked) };
      const value = await fetchJson(`${above}predict_proba`, options, controller);
      if (controller !== asking) return;
      const predictions = value === null ? undefined : value.predictions;
      if (!Array.isArray(predictions) || !predictions.every(isPrediction)) {
        throw new ShownError("The service's answer was not understood: it has no list of paths and probabilities.");
      }
      showAnswer(predictions, asked.min_confidence);
    } catch (error) {
      if (controller !== asking) return; // a newer question took this one's place
      showError(error);
    } finally {
      if (controller === asking) {
        asking = null;
        form.removeAttribute("aria-busy");
        at("send").textContent = "Classify";
      }
    }
  }

  // ---------------------------------------------------------------- what is shown

  function element(name, className, content) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (content !== undefined) made.textContent = content;
    return made;
  }

  function showError(error) {
    const known = error instanceof ShownError;
    at("answer").hidden = true;
    answered = false;
    at("status").textContent = "";
    at("error").textContent = known ? error.message : `The page failed: ${error}`;
    at("error").hidden = false;
    if (known && error.field !== null) {
      error.field.setAttribute("aria-invalid", "true");
      error.field.focus();
    }
  }

  function showAnswer(predictions, least) {
    const nodes = merge(predictions);
    const best = predictions.length > 0 ? predictions[0] : { path: [], probability: 0 };
    at("error").hidden = true;
    at("error").textContent = "";
    at("answer").hidden = false;
    answered = true;
    at("path").replaceChildren(
      ...best.path.map((name) => {
        const item = element("li");
        item.append(element("bdi", "", name));
        return item;
      }),
    );
    const none = best.path.length === 0;
    const ending = least > 0 ? ` Paths end at their deepest class of at least ${percent(least)}.` : "";
    at("path-note").textContent = none ? `No class reaches ${percent(least)}.` : `Probability ${percent(best.probability)}.${ending}`;
    at("tree-title").hidden = tree.hidden = at("tree-note").hidden = nodes.length === 0;
    showTree(nodes);
    const shown = nodes.reduce((sum, node) => sum + node.probability, 0);
    at("tree-note").textContent =
      "≥: at least this, the sum of what is shown below. " +
      (shown < 0.9995 ? `All that is not shown has at most ${atMost(1 - shown)}.` : "Next to nothing is left for what is not shown.");
    at("status").textContent = none ? at("path-note").textContent : `${best.path.join(", ")}: ${percent(best.probability)}`;
  }

  // ---------------------------------------------------------------- the tree

  function showTree(nodes) {
    let count = 0;

    function items(siblings, level) {
      return siblings.map((node, place) => {
        const id = `node-${(count += 1)}`;
        const item = element("li", node.best ? "best" : "");
        const row = element("div", "row");
        const name = element("bdi", "name", node.name);
        const bar = element("div", "bar");
        const filled = element("span");
        const value = element("span", "value", node.exact ? percent(node.probability) : atLeast(node.probability));
        filled.style.width = `${100 * node.probability}%`;
        name.id = `${id}-name`;
        value.id = `${id}-value`;
        bar.setAttribute("aria-hidden", "true");
        bar.append(filled);
        row.append(name, bar, value);
        item.append(row);
        item.tabIndex = -1;
        item.setAttribute("role", "treeitem");
        item.setAttribute("aria-level", String(level));
        item.setAttribute("aria-setsize", String(siblings.length));
        item.setAttribute("aria-posinset", String(place + 1));
        item.setAttribute("aria-labelledby", `${name.id} ${value.id}`);
        if (node.children.length > 0) {
          const group = element("ul");
          group.setAttribute("role", "group");
          group.append(...items(node.children, level + 1));
          item.setAttribute("aria-expanded", "true");
          item.append(group);
        }
        return item;
      });
    }

    tree.replaceChildren(...items(nodes, 1));
    if (tree.firstElementChild) tree.firstElementChild.tabIndex = 0;
  }

  function reach(item) {
    if (!item) return;
    const current = tree.querySelector('[role="treeitem"][tabindex="0"]');
    if (current) current.tabIndex = -1;
    item.tabIndex = 0;
    item.focus();
  }

  function open(item, expanded) {
    item.setAttribute("aria-expanded", String(expanded));
  }

  function visibleItems() {
    return [...tree.querySelectorAll('[role="treeitem"]')].filter((item) => {
      const parent = item.parentElement.closest('[role="treeitem"]');
      return !(parent && parent.closest('[aria-expanded="false"]'));
    });
  }

  function onTreeKey(event) {
    const item = event.target.closest('[role="treeitem"]');
    if (!item || event.ctrlKey || event.metaKey || event.altKey) return;
    const items = visibleItems();
    const place = items.indexOf(item);
    const expanded = item.getAttribute("aria-expanded");
    const actions = {
      ArrowDown: () => reach(items[place + 1]),
      ArrowUp: () => reach(items[place - 1]),
      Home: () => reach(items[0]),
      End: () => reach(items[items.length - 1]),
      ArrowRight: () => {
        if (expanded === "false") open(item, true);
        else if (expanded === "true") reach(items[place + 1]);
      },
      ArrowLeft: () => {
        if (expanded === "true") open(item, false);
        else reach(item.parentElement.closest('[role="treeitem"]'));
      },
      Enter: () => expanded !== null && open(item, expanded === "false"),
      " ": () => expanded !== null && open(item, expanded === "false"),
    };
    if (Object.hasOwn(actions, event.key)) {
      actions[event.key]();
    } else if (event.key.length === 1) {
      // A letter goes to the next class that begins with it.
      const wanted = event.key.toLowerCase();
      const around = [...items.slice(place + 1), ...items.slice(0, place)];
      reach(around.find((other) => other.querySelector(".name").textContent.toLowerCase().startsWith(wanted)));
    } else {
      return;
    }
    event.preventDefault();
  }

  function onTreeClick(event) {
    const row = event.target.closest(".row");
    if (!row) return;
    const item = row.parentElement;
    const expanded = item.getAttribute("aria-expanded");
    if (expanded !== null) open(item, expanded === "false");
    reach(item);
  }

  // ---------------------------------------------------------------- the header

  // Nothing depends on it: a service that does not tell keeps the page's own words.
  async function showModel() {
    let model;
    try {
      model = await fetchJson(`${above}model`, {}, new AbortController());
    } catch {
      return;
    }
    if (model === null || typeof model !== "object" || typeof model.model !== "string") return;
    const title = at("title");
    title.textContent = model.model;
    if (typeof model.dataset === "string") {
      title.append(" ", element("span", "", "on"), " ", model.dataset);
      document.title = `${model.model} on ${model.dataset}: try the model`;
    }
    const facts = [];
    if (typeof model.version === "string") facts.push(`version ${model.version}`);
    if (Number.isInteger(model.leaves)) facts.push(`${model.leaves.toLocaleString("en")} classes to choose from`);
    if (Number.isInteger(model.depth)) facts.push(model.depth === 1 ? "1 level" : `${model.depth} levels`);
    at("facts").replaceChildren(...facts.map((fact) => element("span", "", fact)));
    at("facts").hidden = facts.length === 0;
  }

  // ---------------------------------------------------------------- start

  function showConfidence() {
    const shown = `${minConfidence.value} %`;
    at("min-confidence-value").textContent = shown;
    minConfidence.setAttribute("aria-valuetext", shown);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) {
      event.preventDefault();
      ask();
    }
  });
  minConfidence.addEventListener("input", showConfidence);
  // What is on the screen follows the controls, once there is something.
  for (const control of [topK, minConfidence]) {
    control.addEventListener("change", () => {
      if (answered) ask();
    });
  }
  tree.addEventListener("keydown", onTreeKey);
  tree.addEventListener("click", onTreeClick);
  at("send").disabled = false;
  showConfidence(); // a browser keeps a control's value over a reload
  showModel();
})();
