#!/bin/sh
# Before anything is made: is it known which vaults are meant, and are they there?
set -eu

: "${KEYTURN_VAULT_IDS:?Name the vaults: azd env set KEYTURN_VAULT_IDS /subscriptions/…/vaults/NAME,…}"

for vault in $(printf %s "$KEYTURN_VAULT_IDS" | tr ',' ' '); do
  az resource show --ids "$vault" --query name --output tsv >/dev/null || {
    echo "Cannot read the vault $vault as the account that az is signed in with: is its id right?" >&2
    exit 1
  }
done
