// The programs that make the same call: tabs, a text, and a button to copy it.

import { LANGUAGES, context, files } from "./snippets.js";
import { html } from "./svg.js";

export class Code {
  #tabs;
  #text;
  #copy;
  #files;
  #context = null;
  #chosen = LANGUAGES[0];

  constructor(root) {
    this.#text = root.querySelector("#program");
    this.#copy = root.querySelector("#copy");
    this.#files = root.querySelector("#files");
    const list = root.querySelector("#languages");
    this.#tabs = LANGUAGES.map((language) => {
      const tab = html("button", { type: "button", role: "tab", id: `tab-${language.id}`, "aria-controls": "program-panel" }, language.title);
      tab.addEventListener("click", () => this.#choose(language));
      return tab;
    });
    list.append(...this.#tabs);
    list.addEventListener("keydown", (event) => this.#key(event));
    this.#copy.addEventListener("click", () => this.#copyText());
    this.#mark();
  }

  #key(event) {
    const at = LANGUAGES.indexOf(this.#chosen);
    const last = LANGUAGES.length - 1;
    const next = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    this.#choose(LANGUAGES[next]);
    this.#tabs[next].focus();
  }

  #choose(language) {
    this.#chosen = language;
    this.#mark();
    this.#write();
  }

  #mark() {
    this.#tabs.forEach((tab, index) => {
      const isChosen = LANGUAGES[index] === this.#chosen;
      tab.setAttribute("aria-selected", isChosen);
      tab.tabIndex = isChosen ? 0 : -1;
      if (isChosen) this.#text.parentElement.setAttribute("aria-labelledby", tab.id);
    });
  }

  /** Shows the programs of a request. */
  show(request, hasToken) {
    this.#context = context(request, location, hasToken);
    this.#write();
  }

  #write() {
    if (this.#context === null) return;
    this.#text.textContent = this.#chosen.write(this.#context);
    this.#copy.textContent = "Copy";
    const all = files(this.#context);
    const needed = all.filter(([name]) => name.endsWith(".json") !== (this.#chosen.id === "rust"));
    this.#files.hidden = needed.length === 0;
    const buttons = needed.map(([name, content]) => {
      const button = html("button", { type: "button", class: "small" }, `Save ${name}`);
      button.addEventListener("click", () => save(name, content));
      return button;
    });
    this.#files.replaceChildren("The program reads its numbers from a file: ", ...buttons);
  }

  async #copyText() {
    const text = this.#text.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without TLS browsers give the clipboard to pages of this machine alone.
      getSelection().selectAllChildren(this.#text);
      document.execCommand("copy");
    }
    this.#copy.textContent = "Copied";
  }
}

function save(name, content) {
  const url = URL.createObjectURL(new Blob([content]));
  html("a", { href: url, download: name }).click();
  URL.revokeObjectURL(url);
}
