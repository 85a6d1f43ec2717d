#!/bin/sh
# Once the functions are there: have every vault send its events. May be run again at any time.
set -eu

: "${KEYTURN_VAULT_IDS:?}" "${KEYTURN_APP_ID:?}" "${KEYTURN_STORAGE_ID:?}" "${KEYTURN_DEAD_LETTER_IDENTITY_ID:?}"

here=$(cd "$(dirname "$0")" && pwd)

lower() {
  printf %s "$1" | tr '[:upper:]' '[:lower:]'
}

# The host tells Resource Manager of its functions a while after it has started.
await_function() {
  tries=0
  until az resource show --ids "$KEYTURN_APP_ID/functions/key_events" --query name --output tsv >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -ge 30 ]; then
      echo "The function key_events has not shown up in five minutes. With a bad setting the app has" \
        "no functions: its log lists every problem. Mend it, then: azd hooks run postdeploy" >&2
      exit 1
    fi
    sleep 10
  done
}

# A vault has one system topic at most, and somebody else may have made it.
# Prints its id; nothing: there is none.
topic_of() {
  topics=$(az eventgrid system-topic list --subscription "$1" --query '[].[source, id]' --output tsv) || return 1
  echo "$topics" | while IFS="$(printf '\t')" read -r source id; do
    if [ "$(lower "$source")" = "$(lower "$2")" ]; then
      echo "$id"
      break
    fi
  done
}

has_identity() {
  az resource show --ids "$1" --query identity.userAssignedIdentities --output json |
    tr '[:upper:]' '[:lower:]' | grep -qF "\"$(lower "$KEYTURN_DEAD_LETTER_IDENTITY_ID")\""
}

# Prints where a topic's event subscription of ours leads, if not to this app; nothing: it may be written.
led_elsewhere() {
  leads=$(az rest --method get --url "$1/eventSubscriptions?api-version=2025-02-15" --output tsv \
    --query "value[?name=='keyturn'].[properties.destination.properties.resourceId, properties.deliveryWithResourceIdentity.destination.properties.resourceId][] | [?@]") || return 1
  case $(lower "$leads") in
    '' | "$(lower "$KEYTURN_APP_ID/functions/key_events")" | "$(lower "$KEYTURN_STORAGE_ID")") ;;
    *) echo "$leads" ;;
  esac
}

# Called where a failure is caught, so that `set -e` holds nothing up: each step says it itself.
subscribe() {
  vault=$1
  subscription=$(echo "$vault" | cut -d/ -f3)
  group=$(echo "$vault" | cut -d/ -f5)
  name=$(echo "$vault" | cut -d/ -f9)
  state=$(az provider show --namespace Microsoft.EventGrid --subscription "$subscription" \
    --query registrationState --output tsv) || return 1
  if [ "$state" != Registered ]; then # who may not register need not, where it is done
    az provider register --namespace Microsoft.EventGrid --subscription "$subscription" --wait || return 1
  fi
  location=$(az resource show --ids "$vault" --query location --output tsv) || return 1
  topic=$(topic_of "$subscription" "$vault") || return 1
  make=true
  topic_name="evgt-$name"
  if [ -n "$topic" ]; then
    elsewhere=$(led_elsewhere "$topic") || return 1
    if [ -n "$elsewhere" ]; then
      echo "The events of the vault $name go to another Keyturn already: $topic/eventSubscriptions/keyturn leads" \
        "to $elsewhere. Delete that event subscription if that app is gone, or take the vault out of" \
        "KEYTURN_VAULT_IDS of one of them, then: azd hooks run postdeploy" >&2
      return 1
    fi
    group=$(echo "$topic" | cut -d/ -f5)
    topic_name=$(echo "$topic" | cut -d/ -f9)
    if [ "$topic_name" != "evgt-$name" ]; then
      make=false
      if ! has_identity "$topic"; then
        echo "The vault $name has the system topic $topic already, without the identity that writes" \
          "dead letters. Add $KEYTURN_DEAD_LETTER_IDENTITY_ID to it (portal: Identity, User assigned)," \
          "then: azd hooks run postdeploy" >&2
        return 1
      fi
    fi
  fi
  # One or the other: each writes the same event subscription.
  if [ "${KEYTURN_EVENTS_QUEUE:-false}" = true ]; then
    az deployment group create --subscription "$subscription" --resource-group "$group" \
      --name "keyturn-queue-$name" --template-file "$here/../events/queue.bicep" --output none \
      --parameters vaultId="$vault" location="$location" topicName="$topic_name" makeTopic="$make" \
      storageId="$KEYTURN_STORAGE_ID" identityId="$KEYTURN_DEAD_LETTER_IDENTITY_ID" || return 1
  else
    az deployment group create --subscription "$subscription" --resource-group "$group" \
      --name "keyturn-events-$name" --template-file "$here/../events/vault.bicep" --output none \
      --parameters vaultId="$vault" location="$location" topicName="$topic_name" makeTopic="$make" \
      appId="$KEYTURN_APP_ID" storageId="$KEYTURN_STORAGE_ID" \
      deadLetterIdentityId="$KEYTURN_DEAD_LETTER_IDENTITY_ID" || return 1
  fi
  echo "The vault $name sends its events to Keyturn."
  az deployment group create --subscription "$(echo "$KEYTURN_APP_ID" | cut -d/ -f3)" \
    --resource-group "$(echo "$KEYTURN_APP_ID" | cut -d/ -f5)" --name "keyturn-dead-letters-$name" \
    --template-file "$here/../alerts/dead-letters.bicep" --output none --parameters vaultName="$name" \
    topicId="/subscriptions/$subscription/resourceGroups/$group/providers/Microsoft.EventGrid/systemTopics/$topic_name" \
    actionGroupId="${KEYTURN_ALERT_GROUP_ID:-}" || return 1
}

await_function
failed=0
for vault in $(printf %s "$KEYTURN_VAULT_IDS" | tr ',' ' '); do
  subscribe "$vault" || failed=1
done
exit "$failed"
