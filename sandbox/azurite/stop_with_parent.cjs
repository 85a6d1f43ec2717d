// Loaded before Azurite: the end of stdin means that the process that started it is gone,
// however it ended. Without this a killed test run would leave Azurite behind.
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
