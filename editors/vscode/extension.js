// Starts `smelt lsp` for open .smelt files. All that the extension knows of the language is in the server.
const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

exports.activate = () => {
  const command = workspace.getConfiguration("smelt").get("path", "smelt");
  client = new LanguageClient(
    "smelt",
    "Smelt",
    { command, args: ["lsp", "--stdio"] },
    { documentSelector: [{ scheme: "file", language: "smelt" }, { scheme: "untitled", language: "smelt" }] },
  );
  return client.start();
};

exports.deactivate = () => client && client.stop();
