// Runs one Conflux node in this process: node conflux_node.cjs NODE_FILE CONFIG_TOML DATA_FOLDER
// It says "ready" on standard output when the node has started, and stops it on SIGTERM.
"use strict";
const { ConfluxNode } = require(process.argv[2]);
const node = new ConfluxNode();
node
  .startNode({ configFile: process.argv[3], confluxDataDir: process.argv[4] })
  .then(() => console.log("ready"))
  .catch((error) => {
    console.error(String(error));
    process.exit(1);
  });
process.on("SIGTERM", () => {
  node.stopNode().then(
    () => process.exit(0),
    () => process.exit(1),
  );
});
setInterval(() => {}, 1 << 30);
