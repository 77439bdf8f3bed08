// Colours of the charts, read from the style sheet, so that light and dark are decided in one place.

const scheme = matchMedia("(prefers-color-scheme: dark)");

const CURVES_LIGHT = ["#1f4fd1", "#b4540a", "#08775a", "#a1267f", "#6b4fbb", "#0b7285", "#8a6d00", "#c22f3d", "#4d5b70", "#3f7d20"];
const CURVES_DARK = ["#7fa5ff", "#ffa45c", "#3fcf9f", "#f283cf", "#b09cff", "#4fc3d9", "#e0c04a", "#ff7b85", "#a8b4c6", "#9bd46b"];

export function palette() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    surface: read("surface"), line: read("line"), text: read("text"), soft: read("soft"), accent: read("accent"),
    gain: read("gain"), loss: read("loss"), warn: read("warn"), font: getComputedStyle(document.body).fontFamily,
  };
}

export const curveColour = (index) => (scheme.matches ? CURVES_DARK : CURVES_LIGHT)[index % CURVES_LIGHT.length];

export function onSchemeChange(redraw) {
  scheme.addEventListener("change", redraw);
}
