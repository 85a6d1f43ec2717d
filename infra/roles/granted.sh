#!/bin/sh
# List what Keyturn's identity has been granted, in every subscription that you can see.
set -eu

: "${KEYTURN_PRINCIPAL_ID:?the principal id of the identity of Keyturn}"

missing() {
  printf 'could not be read\t%s\n' "$1"
}

subscriptions=$(az account list --query "[?state=='Enabled'].id" --output tsv)
for subscription in $subscriptions; do
  az role assignment list --subscription "$subscription" --all --assignee "$KEYTURN_PRINCIPAL_ID" \
    --query '[].[roleDefinitionName, scope]' --output tsv || missing "/subscriptions/$subscription"
  # Vaults with access policies know no roles.
  vaults=$(az keyvault list --subscription "$subscription" --query '[].name' --output tsv) ||
    missing "the vaults of /subscriptions/$subscription"
  for vault in $vaults; do
    rights=$(az keyvault show --subscription "$subscription" --name "$vault" --output tsv \
      --query "properties.accessPolicies[?objectId=='$KEYTURN_PRINCIPAL_ID'].[join(' ', permissions.keys)]") ||
      missing "$vault"
    [ -z "$rights" ] || printf 'access policy: %s\t%s\n' "$rights" "$vault"
  done
done | sort -u
