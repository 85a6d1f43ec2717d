// A vault's audit log, to the workspace: who wrapped and unwrapped with which version.

@description('Name of a vault of this resource group.')
param vaultName string

@description('Resource id of the workspace.')
param workspaceId string

resource vault 'Microsoft.KeyVault/vaults@2022-07-01' existing = {
  name: vaultName
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'keyturn'
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [
      {
        category: 'AuditEvent'
        enabled: true
      }
    ]
  }
}
