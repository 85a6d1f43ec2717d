# Before anything is made: is it known which vaults are meant, and are they there?
$ErrorActionPreference = 'Stop'

if (-not $env:KEYTURN_VAULT_IDS) {
  throw 'Name the vaults: azd env set KEYTURN_VAULT_IDS /subscriptions/.../vaults/NAME,...'
}

foreach ($vault in $env:KEYTURN_VAULT_IDS.Split(',').Trim() | Where-Object { $_ }) {
  az resource show --ids $vault --query name --output tsv | Out-Null
  if ($LASTEXITCODE -ne 0) {
    throw "Cannot read the vault $vault as the account that az is signed in with: is its id right?"
  }
}
