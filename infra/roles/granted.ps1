# List what Keyturn's identity has been granted, in every subscription that you can see.
param([string]$PrincipalId = $env:KEYTURN_PRINCIPAL_ID)
$ErrorActionPreference = 'Stop'
if (-not $PrincipalId) { throw 'KEYTURN_PRINCIPAL_ID is not set: azd env get-values shows it' }

$subscriptions = az account list --query "[?state=='Enabled'].id" --output tsv
if ($LASTEXITCODE -ne 0) { throw 'az account list failed: what is granted is not known' }

$lines = foreach ($subscription in $subscriptions) {
  az role assignment list --subscription $subscription --all --assignee $PrincipalId `
    --query '[].[roleDefinitionName, scope]' --output tsv
  if ($LASTEXITCODE -ne 0) { "could not be read`t/subscriptions/$subscription" }
  # Vaults with access policies know no roles.
  $vaults = az keyvault list --subscription $subscription --query '[].name' --output tsv
  if ($LASTEXITCODE -ne 0) { "could not be read`tthe vaults of /subscriptions/$subscription" }
  foreach ($vault in $vaults) {
    $rights = az keyvault show --subscription $subscription --name $vault --output tsv `
      --query "properties.accessPolicies[?objectId=='$PrincipalId'].[join(' ', permissions.keys)]"
    if ($LASTEXITCODE -ne 0) { "could not be read`t$vault" }
    if ($rights) { "access policy: $rights`t$vault" }
  }
}
$lines | Sort-Object -Unique
