// Runs the example of a page: `node handle.js example.ts`, with one message on standard input.
const { readFileSync, writeFileSync } = require("node:fs");
const ts = require("typescript");

const source = readFileSync(process.argv[2], "utf8");
const options = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 };
writeFileSync("example.js", ts.transpileModule(source, { compilerOptions: options }).outputText);
const handled = [];
globalThis.firstTime = () => true;
globalThis.showBanner = (...about) => handled.push(about);
const { body, headers } = JSON.parse(readFileSync(0, "utf8"));
const status = require("./example.js").receive(body, headers);
console.log(JSON.stringify({ status, handled }));
