// The app: a Flex Consumption plan, its settings, and who may call it.

@description('Makes names unique.')
param token string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('The app\'s user-assigned identity.')
param identityName string

@description('Keyturn\'s storage account.')
param storageName string

@description('Keyturn\'s Application Insights.')
param insightsName string

@description('Subnet for what the app sends. Empty: none.')
param subnetId string

@description('Instances that are always there for the queue of steps.')
@allowed([0, 1, 2])
param alwaysReadyInstances int

@description('Most instances at a time.')
@minValue(40)
@maxValue(1000)
param maximumInstances int

@description('Memory of an instance.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int

@description('Ranges, separated by commas, from which the HTTP API may be called. Empty: all.')
param allowedRanges string

@description('Client id of the app registration. Empty: function keys let callers in.')
param authClientId string

@description('KEYTURN_VAULTS.')
param vaults string

@description('KEYTURN_POLICY.')
param policy string

@description('KEYTURN_SWEEP_SCHEDULE.')
param sweepSchedule string

@description('KEYTURN_CONFIG_SOURCES.')
param configSources string

@description('KEYTURN_BLOB_CANARY.')
param blobCanary string

@description('KEYTURN_TOPIC_ENDPOINT.')
param topicEndpoint string

@description('KEYTURN_TELEMETRY.')
param telemetry string

var signIn = !empty(authClientId)
var ranges = filter(map(split(allowedRanges, ','), item => trim(item)), item => !empty(item))
// Event Grid reaches no private address: its events come from the internet, with a key of the host.
var fromEventGrid = [
  {
    name: 'event-grid'
    tag: 'ServiceTag'
    ipAddress: 'AzureEventGrid'
    action: 'Allow'
    priority: 100
  }
]
var fromRanges = map(range(0, length(ranges)), i => {
  name: 'callers-${i}'
  tag: 'Default'
  ipAddress: ranges[i]
  action: 'Allow'
  priority: 200 + i
})

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource account 'Microsoft.Storage/storageAccounts@2026-04-01' existing = {
  name: storageName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: 'plan-keyturn-${token}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: 'func-keyturn-${token}'
  location: location
  tags: union(tags, { 'azd-service-name': 'keyturn' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identity.id}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      ipSecurityRestrictions: empty(ranges) ? [] : concat(fromEventGrid, fromRanges)
      ipSecurityRestrictionsDefaultAction: empty(ranges) ? 'Allow' : 'Deny'
    }
    functionAppConfig: {
      runtime: {
        name: 'python'
        version: '3.13'
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${account.properties.primaryEndpoints.blob}app-package'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      scaleAndConcurrency: {
        maximumInstanceCount: maximumInstances
        instanceMemoryMB: instanceMemoryMB
        // A group of its own, as every function that HTTP, blobs or Durable Functions do not trigger.
        alwaysReady: alwaysReadyInstances == 0 ? [] : [
          {
            name: 'function:rotation_steps'
            instanceCount: alwaysReadyInstances
          }
        ]
      }
    }
  }
}

resource settings 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: app
  name: 'appsettings'
  properties: {
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identity.properties.clientId
    AzureWebJobsStorage__blobServiceUri: account.properties.primaryEndpoints.blob
    AzureWebJobsStorage__queueServiceUri: account.properties.primaryEndpoints.queue
    AzureWebJobsStorage__tableServiceUri: account.properties.primaryEndpoints.table
    APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
    AZURE_CLIENT_ID: identity.properties.clientId
    KEYTURN_CLOUD: environment().name
    KEYTURN_VAULTS: vaults
    KEYTURN_POLICY: policy
    KEYTURN_AUTH: signIn ? 'app_service' : 'keys'
    KEYTURN_SWEEP_SCHEDULE: sweepSchedule
    KEYTURN_CONFIG_SOURCES: configSources
    KEYTURN_BLOB_CANARY: blobCanary
    KEYTURN_TOPIC_ENDPOINT: topicEndpoint
    KEYTURN_TELEMETRY: telemetry
  }
  dependsOn: [authentication]
}

// No passwords for publishing: `azd deploy` signs in.
resource noFtpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'ftp'
  properties: { allow: false }
}

resource noScmPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'scm'
  properties: { allow: false }
}

// App Service drops what a caller sends as its headers only if this is on: so it comes before the
// setting that has the app believe them, and is turned off, not left behind, without a client id.
resource authentication 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: app
  name: 'authsettingsV2'
  properties: {
    platform: { enabled: signIn }
    globalValidation: {
      requireAuthentication: signIn
      unauthenticatedClientAction: signIn ? 'Return401' : 'AllowAnonymous'
      // Event Grid shows a key of the host, and no token; a probe of life shows nothing.
      excludedPaths: ['/runtime/webhooks/eventgrid', '/api/health/live']
    }
    httpSettings: { requireHttps: true }
    identityProviders: signIn ? {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: authClientId
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: { allowedAudiences: [authClientId, 'api://${authClientId}'] }
      }
    } : {}
    login: { tokenStore: { enabled: false } }
  }
}

output id string = app.id
output name string = app.name
output url string = 'https://${app.properties.defaultHostName}'
