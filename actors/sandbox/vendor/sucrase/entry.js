import { transform } from "sucrase";
globalThis.stripTypes = (source) => JSON.stringify(
  transform(source, { transforms: ["typescript", "imports"], disableESTransforms: true }).code);
