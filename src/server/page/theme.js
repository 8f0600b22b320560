// The theme, before anything is drawn: the one that was chosen here, or the system's.

(() => {
  const KEY = "evenkeel.theme";
  const root = document.documentElement;
  const chosen = () => {
    try {
      return localStorage.getItem(KEY) ?? "auto";
    } catch {
      return "auto"; // Pages may be kept from storing anything.
    }
  };
  const use = (theme) => {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    document.dispatchEvent(new Event("themechange"));
  };
  use(chosen());
  document.addEventListener("DOMContentLoaded", () => {
    for (const choice of document.querySelectorAll("input[name=theme]")) {
      choice.checked = choice.value === chosen();
      choice.addEventListener("change", () => {
        try {
          localStorage.setItem(KEY, choice.value);
        } catch {
          // It holds for this page then.
        }
        use(choice.value);
      });
    }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("themechange")));
})();
