/** Rules of the explorer's page; `nox -s javascript` runs them, which needs npm. */

const browser = `Blob CSS IntersectionObserver ImageData ResizeObserver URL clearTimeout console document fetch
getComputedStyle getSelection history location matchMedia navigator requestAnimationFrame
setTimeout window TextDecoder TextEncoder Buffer setImmediate`;

export default [
  { ignores: ["**/vendor/**"] },
  {
    files: ["**/*.js", "**/*.mjs"],
    languageOptions: {
      globals: Object.fromEntries(browser.split(/\s+/).map((name) => [name, "readonly"])),
    },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      complexity: ["error", 12],
      "consistent-return": "off",
      "constructor-super": "error",
      eqeqeq: "error",
      "for-direction": "error",
      "max-params": ["error", 5],
      "max-lines": ["error", 300],
      "no-cond-assign": "error",
      "no-const-assign": "error",
      "no-constant-condition": ["error", { checkLoops: false }],
      "no-dupe-args": "error",
      "no-dupe-else-if": "error",
      "no-dupe-keys": "error",
      "no-duplicate-case": "error",
      "no-empty": ["error", { allowEmptyCatch: false }],
      "no-eval": "error",
      "no-fallthrough": "error",
      "no-implied-eval": "error",
      "no-loss-of-precision": "error",
      "no-new-func": "error",
      "no-redeclare": "error",
      "no-self-assign": "error",
      "no-shadow": "error",
      "no-undef": "error",
      "no-unreachable": "error",
      "no-unsafe-negation": "error",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_", destructuredArrayIgnorePattern: "^_" }],
      "no-use-before-define": ["error", { functions: false, variables: false }],
      "no-useless-escape": "error",
      "no-var": "error",
      "prefer-const": "error",
      "use-isnan": "error",
      "valid-typeof": "error",
    },
  },
];
