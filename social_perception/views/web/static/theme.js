// Sets the theme before anything is painted; loaded as a plain script for that reason.
// The choice is "auto", "light" or "dark"; the style sheet has a light and a dark theme.
(() => {
  const KEY = "social_perception.theme";
  const CHOICES = ["auto", "light", "dark"];
  const darkScheme = matchMedia("(prefers-color-scheme: dark)");

  function read() {
    try {
      const choice = localStorage.getItem(KEY);
      return CHOICES.includes(choice) ? choice : "auto";
    } catch {
      return "auto"; // Storage may be disabled; the page works without.
    }
  }

  let choice = read();

  function apply() {
    const dark = choice === "dark" || (choice === "auto" && darkScheme.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    document.dispatchEvent(new Event("themechange"));
  }

  darkScheme.addEventListener("change", apply);
  apply();

  globalThis.pageTheme = {
    get choice() {
      return choice;
    },
    next() {
      choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length];
      try {
        localStorage.setItem(KEY, choice);
      } catch {
        // The choice is lost when the page is closed.
      }
      apply();
    },
  };
})();
