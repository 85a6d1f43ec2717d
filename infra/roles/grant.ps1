# Grant Keyturn's identity what it needs, and no more; grant.sh says which role is for what.
#
#   ./grant.ps1 -Role reader -Scope /subscriptions/ID, …
param(
  [Parameter(Mandatory)]
  [ValidateSet('reader', 'mover', 'container-groups', 'key-reader', 'key-rotator', 'key-keeper')]
  [string]$Role,

  [Parameter(Mandatory)]
  [string[]]$Scope,

  [string]$PrincipalId = $env:KEYTURN_PRINCIPAL_ID
)
$ErrorActionPreference = 'Stop'
if (-not $PrincipalId) { throw 'KEYTURN_PRINCIPAL_ID is not set: azd env get-values shows it' }

$title = (Get-Content -Raw (Join-Path $PSScriptRoot "$Role.json") | ConvertFrom-Json).name

function Invoke-Az {
  $said = az @args
  if ($LASTEXITCODE -ne 0) { throw "az $($args[0..2] -join ' ') failed" }
  return $said
}

$location = Invoke-Az account list-locations --query '[0].name' --output tsv
foreach ($place in $Scope) {
  $subscription = $place.Split('/')[2]
  # A name of its own for each region: a deployment keeps the region that it was first made in.
  Invoke-Az deployment sub create --subscription $subscription --name "keyturn-grant-$location" `
    --location $location --template-file (Join-Path $PSScriptRoot 'roles.bicep') --output none
  $id = Invoke-Az role definition list --subscription $subscription --custom-role-only true `
    --scope "/subscriptions/$subscription" `
    --query "[?starts_with(roleName, '$title (')].id | [0]" --output tsv
  Invoke-Az role assignment create --assignee-object-id $PrincipalId `
    --assignee-principal-type ServicePrincipal --role $id --scope $place --output none
  Write-Output "$title on $place"
}
