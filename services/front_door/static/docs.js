// Renders /openapi.json: operations by tag, then the schemas. Nothing comes from elsewhere.
"use strict";

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child != null));
  return made;
};
const lastPart = (ref) => ref.split("/").pop();
const schemaLink = (ref) => element("a", { href: `#schema-${lastPart(ref)}` }, lastPart(ref));
const table = (head, rows) =>
  element("table", {},
    element("thead", {}, element("tr", {}, ...head.map((text) => element("th", {}, text)))),
    element("tbody", {}, ...rows.map((cells) =>
      element("tr", {}, ...cells.map((cell) => element("td", {}, ...[].concat(cell)))))));

// A type in few words, with links to the schemas it names.
function typeOf(schema) {
  if (!schema) return [];
  if (schema.$ref) return [schemaLink(schema.$ref)];
  if (schema.anyOf) {
    return schema.anyOf.flatMap((one, index) => (index ? [" or ", ...typeOf(one)] : typeOf(one)));
  }
  if (schema.type === "array") return ["list of ", ...typeOf(schema.items || {})];
  if (schema.enum) return [schema.enum.map((value) => JSON.stringify(value)).join(", ")];
  if (schema.type === "object" && typeof schema.additionalProperties === "object") {
    return ["map of ", ...typeOf(schema.additionalProperties)];
  }
  return [schema.format || schema.type || "anything"];
}

const BOUNDS = ["minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
  "maxProperties", "pattern", "default"];
function notes(schema) {
  const inner = schema.anyOf ? schema.anyOf.find((one) => one.type !== "null") || {} : schema;
  const bounds = BOUNDS.filter((key) => (inner[key] ?? schema[key]) !== undefined
      && (inner[key] ?? schema[key]) !== null)
    .map((key) => `${key} ${JSON.stringify(inner[key] ?? schema[key])}`);
  return [schema.description || inner.description, bounds.join(", ")].filter(Boolean).join(". ");
}

function content(body) {
  return Object.entries((body && body.content) || {}).flatMap(([media, { schema }]) =>
    [element("code", {}, media), " ", ...typeOf(schema), " "]);
}

function operation(method, path, details) {
  const section = element("section", { id: details.operationId },
    element("h3", {}, element("span", { class: `method ${method}` }, method), " ",
      element("code", {}, path)),
    element("p", {}, details.summary));
  if (details.parameters.length) {
    section.append(table(["Parameter", "In", "Type", ""], details.parameters.map((parameter) =>
      [element("code", {}, parameter.name), parameter.in, typeOf(parameter.schema),
        [parameter.description, notes(parameter.schema)].filter(Boolean).join(". ")])));
  }
  if (details.requestBody) section.append(element("p", {}, "Body: ", ...content(details.requestBody)));
  section.append(element("details", {}, element("summary", { class: "dim" }, "Answers"),
    table(["Status", "", "Content"], Object.entries(details.responses).map(([status, answer]) =>
      [status, answer.description, content(answer)]))));
  return section;
}

function schemaSection(name, schema) {
  const required = new Set(schema.required || []);
  // What grows has its known words beside any other: anyOf, one of which is an enum.
  const words = [schema, ...(schema.anyOf || [])].find((one) => one.enum)?.enum;
  return element("section", { id: `schema-${name}` }, element("h3", {}, name),
    schema.description ? element("p", {}, schema.description) : null,
    words ? element("p", {}, element("code", {}, words.join(", "))) : null,
    schema.properties ? table(["Field", "Type", ""],
      Object.entries(schema.properties).map(([field, type]) =>
        [[element("code", {}, field), required.has(field) ? " *" : ""], typeOf(type), notes(type)]))
      : null);
}

async function show() {
  const main = document.getElementById("main");
  const nav = document.getElementById("nav");
  const answer = await fetch("/openapi.json");
  const api = await answer.json();
  main.replaceChildren(element("h1", {}, `${api.info.title} ${api.info.version}`),
    ...api.info.description.split("\n\n").map((text) => element("p", {}, text)),
    element("p", {}, element("a", { href: "/openapi.json" }, "openapi.json")),
    element("h2", {}, "Credentials"),
    table(["Scheme", ""], Object.values(api.components.securitySchemes).map((scheme) =>
      [element("code", {}, scheme.name || "Authorization: Bearer"), scheme.description])));
  for (const { name } of api.tags) {
    nav.append(element("h2", {}, name));
    main.append(element("h2", {}, name));
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const [method, details] of Object.entries(methods)) {
        if (!details.tags.includes(name)) continue;
        nav.append(element("a", { href: `#${details.operationId}` },
          element("span", { class: `method ${method.toUpperCase()}` }, method.toUpperCase()), path));
        main.append(operation(method.toUpperCase(), path, details));
      }
    }
  }
  nav.append(element("h2", {}, "schemas"));
  main.append(element("h2", {}, "schemas"));
  for (const [name, schema] of Object.entries(api.components.schemas)) {
    nav.append(element("a", { href: `#schema-${name}` }, name));
    main.append(schemaSection(name, schema));
  }
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

show().catch((error) => {
  document.getElementById("main").textContent = `The document can't be shown: ${error}`;
});
