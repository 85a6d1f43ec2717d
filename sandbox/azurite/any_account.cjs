// Loaded before Azurite: lets every account exist, also those that AZURITE_ACCOUNTS does not name.
// Their keys derive from a secret, so that an account costs nothing before it is used.
const { createHmac } = require("node:crypto");
const { dirname, join } = require("node:path");

const secret = process.env.SANDBOX_ACCOUNTS_SECRET;
const { default: AccountDataStore } = require(
  join(dirname(process.argv[1]), "common", "AccountDataStore.js"),
);
const getNamed = AccountDataStore.prototype.getAccount;

AccountDataStore.prototype.getAccount = function getAccount(name) {
  return (
    getNamed.call(this, name) ?? {
      name,
      key1: createHmac("sha256", secret).update(name).digest(),
    }
  );
};
