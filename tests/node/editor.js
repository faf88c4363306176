// What VS Code makes of JSON files: its own language service, without the editor.
//
// Reads a list of {text, schema, at} from standard input and writes a list of {problems, offers}:
// what is underlined, and what is offered at these offsets. Without a schema, a path, the file's own
// $schema says where it is.

'use strict';

const fs = require('node:fs');
const { fileURLToPath } = require('node:url');
const { getLanguageService, TextDocument } = require('vscode-json-languageservice');

// Things that are out of date are struck through, not underlined.
const DEPRECATED = 2;

const service = getLanguageService({
  schemaRequestService: async (address) => fs.readFileSync(fileURLToPath(address), 'utf8'),
});

async function look({ text, schema, at }) {
  const document = TextDocument.create('file:///etc/vscp/file.json', 'json', 1, text);
  const json = service.parseJSONDocument(document);
  const given = schema && JSON.parse(fs.readFileSync(schema, 'utf8'));
  const settings = { schemaValidation: 'error' };
  const problems = await service.doValidation(document, json, settings, given);
  const offers = [];
  for (const offset of at ?? []) {
    const list = await service.doComplete(document, document.positionAt(offset), json);
    offers.push(list.items.map((item) => item.label));
  }
  return {
    problems: problems
      .filter(({ tags }) => !tags?.includes(DEPRECATED))
      .map(({ message }) => message),
    offers,
  };
}

async function main() {
  const found = [];
  for (const file of JSON.parse(fs.readFileSync(0, 'utf8'))) {
    found.push(await look(file));
  }
  process.stdout.write(JSON.stringify(found));
}

main();
