# Once the functions are there: have every vault send its events. May be run again at any time.
$ErrorActionPreference = 'Stop'

foreach ($name in 'KEYTURN_VAULT_IDS', 'KEYTURN_APP_ID', 'KEYTURN_STORAGE_ID', 'KEYTURN_DEAD_LETTER_IDENTITY_ID') {
  if (-not [Environment]::GetEnvironmentVariable($name)) { throw "$name is not set" }
}

function Invoke-Az {
  $said = az @args
  if ($LASTEXITCODE -ne 0) { throw "az $($args[0..2] -join ' ') failed" }
  return $said
}

# The host tells Resource Manager of its functions a while after it has started.
function Wait-Function {
  for ($try = 0; $try -lt 30; $try++) {
    az resource show --ids "$env:KEYTURN_APP_ID/functions/key_events" --query name --output tsv 2>$null | Out-Null
    if ($LASTEXITCODE -eq 0) { return }
    Start-Sleep -Seconds 10
  }
  throw ('The function key_events has not shown up in five minutes. With a bad setting the app has ' +
    'no functions: its log lists every problem. Mend it, then: azd hooks run postdeploy')
}

# A vault has one system topic at most, and somebody else may have made it.
function Get-Topic([string]$subscription, [string]$vault) {
  $topics = Invoke-Az eventgrid system-topic list --subscription $subscription --output json | ConvertFrom-Json
  return $topics | Where-Object { $_.source -ieq $vault } | Select-Object -First 1
}

function Test-Identity($topic) {
  if (-not $topic.identity -or -not $topic.identity.userAssignedIdentities) { return $false }
  return $topic.identity.userAssignedIdentities.PSObject.Properties.Name -contains $env:KEYTURN_DEAD_LETTER_IDENTITY_ID
}

# Returns where a topic's event subscription of ours leads, if not to this app; nothing: it may be written.
function Get-Elsewhere([string]$topic) {
  $leads = Invoke-Az rest --method get --url "$topic/eventSubscriptions?api-version=2025-02-15" --output tsv `
    --query "value[?name=='keyturn'].[properties.destination.properties.resourceId, properties.deliveryWithResourceIdentity.destination.properties.resourceId][] | [?@]"
  return $leads | Where-Object { $_ -and $_ -ine "$env:KEYTURN_APP_ID/functions/key_events" -and $_ -ine $env:KEYTURN_STORAGE_ID }
}

function Add-Subscription([string]$vault) {
  $parts = $vault.Split('/')
  $subscription, $group, $name = $parts[2], $parts[4], $parts[8]
  $state = Invoke-Az provider show --namespace Microsoft.EventGrid --subscription $subscription `
    --query registrationState --output tsv
  if ($state -ne 'Registered') {
    # Who may not register need not, where it is done.
    Invoke-Az provider register --namespace Microsoft.EventGrid --subscription $subscription --wait | Out-Null
  }
  $location = Invoke-Az resource show --ids $vault --query location --output tsv
  $topic = Get-Topic $subscription $vault
  $topicName = "evgt-$name"
  $make = 'true'
  if ($topic) {
    $elsewhere = Get-Elsewhere $topic.id
    if ($elsewhere) {
      throw ("The events of the vault $name go to another Keyturn already: $($topic.id)/eventSubscriptions/keyturn leads " +
        "to $elsewhere. Delete that event subscription if that app is gone, or take the vault out of " +
        'KEYTURN_VAULT_IDS of one of them, then: azd hooks run postdeploy')
    }
    $group = $topic.id.Split('/')[4]
    if ($topic.name -ne $topicName) {
      $topicName = $topic.name
      $make = 'false'
      if (-not (Test-Identity $topic)) {
        throw ("The vault $name has the system topic $($topic.id) already, without the identity that writes " +
          "dead letters. Add $env:KEYTURN_DEAD_LETTER_IDENTITY_ID to it (portal: Identity, User assigned), " +
          'then: azd hooks run postdeploy')
      }
    }
  }
  # One or the other: each writes the same event subscription.
  if ($env:KEYTURN_EVENTS_QUEUE -eq 'true') {
    Invoke-Az deployment group create --subscription $subscription --resource-group $group `
      --name "keyturn-queue-$name" --template-file (Join-Path $PSScriptRoot '../events/queue.bicep') --output none `
      --parameters "vaultId=$vault" "location=$location" "topicName=$topicName" "makeTopic=$make" `
      "storageId=$env:KEYTURN_STORAGE_ID" "identityId=$env:KEYTURN_DEAD_LETTER_IDENTITY_ID"
  } else {
    Invoke-Az deployment group create --subscription $subscription --resource-group $group `
      --name "keyturn-events-$name" --template-file (Join-Path $PSScriptRoot '../events/vault.bicep') --output none `
      --parameters "vaultId=$vault" "location=$location" "topicName=$topicName" "makeTopic=$make" `
      "appId=$env:KEYTURN_APP_ID" "storageId=$env:KEYTURN_STORAGE_ID" `
      "deadLetterIdentityId=$env:KEYTURN_DEAD_LETTER_IDENTITY_ID"
  }
  Write-Output "The vault $name sends its events to Keyturn."
  $app = $env:KEYTURN_APP_ID.Split('/')
  $topicId = "/subscriptions/$subscription/resourceGroups/$group/providers/Microsoft.EventGrid/systemTopics/$topicName"
  Invoke-Az deployment group create --subscription $app[2] --resource-group $app[4] `
    --name "keyturn-dead-letters-$name" `
    --template-file (Join-Path $PSScriptRoot '../alerts/dead-letters.bicep') --output none `
    --parameters "vaultName=$name" "topicId=$topicId" "actionGroupId=$env:KEYTURN_ALERT_GROUP_ID"
}

Wait-Function
$failed = $false
foreach ($vault in $env:KEYTURN_VAULT_IDS.Split(',').Trim() | Where-Object { $_ }) {
  try { Add-Subscription $vault } catch { Write-Warning $_; $failed = $true }
}
if ($failed) { exit 1 }
