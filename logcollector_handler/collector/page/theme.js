// Light or dark: what the system prefers, until somebody chooses, which the browser remembers.

const root = document.documentElement;

function setTheme(theme) {
  root.dataset.theme = theme;
  localStorage.setItem("theme", theme);
}

export function switchTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  setTheme((root.dataset.theme ?? system) === "dark" ? "light" : "dark");
}

if (localStorage.getItem("theme")) setTheme(localStorage.getItem("theme"));
