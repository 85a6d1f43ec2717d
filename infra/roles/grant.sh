#!/bin/sh
# Grant Keyturn's identity what it needs, and no more. May be run again: what is there stays.
#
#   grant.sh reader           SUBSCRIPTION…        find consumers and prove them (mode: observe)
#   grant.sh mover            SCOPE…               move them: subscriptions, groups or resources
#   grant.sh container-groups SCOPE…               only with recreateContainerGroups in the policy
#   grant.sh key-reader       VAULT_ID…            always, on every managed vault
#   grant.sh key-rotator      VAULT_OR_KEY_ID…     only where Keyturn may have versions made
#   grant.sh key-keeper       VAULT_OR_KEY_ID…     only where it may change expiry or disable versions
#
# KEYTURN_PRINCIPAL_ID says who: `azd env get-values` shows it. SUBSCRIPTION and SCOPE are resource
# ids. Roles are made in the subscription of each scope. For a management group first deploy
# management-group.bicep to it, then assign its roles there yourself.
set -eu

usage() {
  sed -n '2,/^set/p' "$0" | sed '/^set/d; s/^# \{0,1\}//' >&2
  exit 2
}

[ "$#" -ge 2 ] || usage
: "${KEYTURN_PRINCIPAL_ID:?the principal id of the identity of Keyturn}"

here=$(cd "$(dirname "$0")" && pwd)
case $1 in
  reader) title='Keyturn Reader' ;;
  mover) title='Keyturn Mover' ;;
  container-groups) title='Keyturn Container Group Recreator' ;;
  key-reader) title='Keyturn Key Reader' ;;
  key-rotator) title='Keyturn Key Rotator' ;;
  key-keeper) title='Keyturn Key Keeper' ;;
  *) usage ;;
esac
shift

location=$(az account list-locations --query '[0].name' --output tsv)
for scope in "$@"; do
  subscription=$(echo "$scope" | cut -d/ -f3)
  # A name of its own for each region: a deployment keeps the region that it was first made in.
  az deployment sub create --subscription "$subscription" --name "keyturn-grant-$location" \
    --location "$location" --template-file "$here/roles.bicep" --output none
  role=$(az role definition list --subscription "$subscription" --custom-role-only true \
    --scope "/subscriptions/$subscription" \
    --query "[?starts_with(roleName, '$title (')].id | [0]" --output tsv)
  az role assignment create --assignee-object-id "$KEYTURN_PRINCIPAL_ID" \
    --assignee-principal-type ServicePrincipal --role "$role" --scope "$scope" --output none
  echo "$title on $scope"
done
