// Keyturn, as one deployment: a resource group with all that it owns, and the roles that it needs.
// What it may do on your keys and resources is granted afterwards: infra/roles/grant.sh.
targetScope = 'subscription'

@description('Name of the azd environment: part of every name.')
@minLength(1)
@maxLength(40)
param environmentName string

@description('Region of everything that is made here.')
@metadata({
  azd: {
    type: 'location'
  }
})
param location string

@description('Resource ids of the vaults that may be managed, separated by commas.')
param vaultIds string

@description('Hosts of managed HSMs that may be managed, separated by commas. They send no events: the timer looks at them.')
param managedHsmHosts string = ''

@description('KEYTURN_POLICY: a path in the app, or the URL of a blob that the identity may read. Empty: the defaults.')
param policy string = ''

@description('KEYTURN_SWEEP_SCHEDULE: six NCRONTAB fields, seconds first. Empty: every quarter of an hour.')
param sweepSchedule string = ''

@description('KEYTURN_CONFIG_SOURCES: blob containers with deployment configs, separated by commas.')
param configSources string = ''

@description('KEYTURN_BLOB_CANARY: name of the containers in which a blob is tried. Empty: none is.')
param blobCanary string = ''

@description('KEYTURN_TOPIC_ENDPOINT: an Event Grid topic for announcements. Empty: none.')
param topicEndpoint string = ''

@description('KEYTURN_TELEMETRY: whether the app sends traces and metrics to Application Insights. Log lines go there over the host.')
@allowed(['azure_monitor', 'none'])
param telemetry string = 'azure_monitor'

@description('Instances that are always there for the queue of steps. With none, an app that sleeps takes up to minutes to wake.')
@allowed([0, 1, 2])
param alwaysReadyInstances int = 1

@description('Most instances at a time.')
@minValue(40)
@maxValue(1000)
param maximumInstances int = 40

@description('Memory of an instance.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Copies of the app\'s storage. Zone-redundant where the region has zones.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param storageRedundancy string = 'Standard_ZRS'

@description('For how long evidence can be neither changed nor deleted. Lock the policy yourself once you are sure: that cannot be undone.')
@minValue(1)
@maxValue(146000)
param evidenceRetentionDays int = 365

@description('For how long logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 90

@description('Whether the storage is reached through private endpoints alone, in a network that is made here.')
param privateNetwork bool = false

@description('Addresses of that network: a /24 at least. Empty: 10.90.0.0/24.')
param networkPrefix string = ''

@description('Ranges, separated by commas, from which the HTTP API may be called; Event Grid may always. Empty: all.')
param allowedRanges string = ''

@description('Client id of the app registration with Keyturn\'s app roles. Empty: function keys let callers in.')
param authClientId string = ''

@description('Where alerts go. Empty: they only show in the portal.')
param alertEmail string = ''

@description('Whether the vaults\' audit log goes to the workspace that is made here.')
param vaultDiagnostics bool = false

@description('Whether the vaults\' events wait in a queue, for an app that may be stopped.')
param eventsQueue bool = false

var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = { 'azd-env-name': environmentName }
var vaults = filter(map(split(vaultIds, ','), id => trim(id)), id => !empty(id))
var hsms = filter(map(split(managedHsmHosts, ','), host => trim(host)), host => !empty(host))

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identities 'app/identities.bicep' = {
  name: 'keyturn-identities'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
  }
}

module monitoring 'app/monitoring.bicep' = {
  name: 'keyturn-monitoring'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    retentionDays: logRetentionDays
  }
}

module storage 'app/storage.bicep' = {
  name: 'keyturn-storage'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    redundancy: storageRedundancy
    evidenceRetentionDays: evidenceRetentionDays
    privateNetwork: privateNetwork
  }
}

module access 'app/access.bicep' = {
  name: 'keyturn-access'
  scope: group
  params: {
    storageName: storage.outputs.name
    insightsName: monitoring.outputs.insightsName
    appPrincipalId: identities.outputs.appPrincipalId
    deadLetterPrincipalId: identities.outputs.deadLetterPrincipalId
    eventsQueue: eventsQueue
  }
}

module network 'app/network.bicep' = if (privateNetwork) {
  name: 'keyturn-network'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    prefix: empty(networkPrefix) ? '10.90.0.0/24' : networkPrefix
    storageName: storage.outputs.name
  }
}

module app 'app/function.bicep' = {
  name: 'keyturn-app'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    identityName: identities.outputs.appName
    storageName: storage.outputs.name
    insightsName: monitoring.outputs.insightsName
    subnetId: privateNetwork ? network.outputs.appSubnetId : ''
    alwaysReadyInstances: alwaysReadyInstances
    maximumInstances: maximumInstances
    instanceMemoryMB: instanceMemoryMB
    allowedRanges: allowedRanges
    authClientId: authClientId
    vaults: join(concat(map(vaults, id => last(split(id, '/'))), hsms), ',')
    policy: policy
    sweepSchedule: sweepSchedule
    configSources: configSources
    blobCanary: blobCanary
    topicEndpoint: topicEndpoint
    telemetry: telemetry
  }
  dependsOn: [access]
}

module alerts 'alerts/alerts.bicep' = {
  name: 'keyturn-alerts'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    insightsName: monitoring.outputs.insightsName
    email: alertEmail
  }
}

module roles 'roles/roles.bicep' = {
  // One of a subscription keeps the region that it was first made in, whoever made it.
  name: 'keyturn-roles-${location}'
}

module diagnostics 'vaults/diagnostics.bicep' = [for id in (vaultDiagnostics ? vaults : []): {
  name: 'keyturn-diagnostics-${last(split(id, '/'))}'
  scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
  params: {
    vaultName: last(split(id, '/'))
    workspaceId: monitoring.outputs.workspaceId
  }
}]

output AZURE_LOCATION string = location
output AZURE_TENANT_ID string = tenant().tenantId
output AZURE_RESOURCE_GROUP string = group.name
output KEYTURN_APP_NAME string = app.outputs.name
output KEYTURN_APP_ID string = app.outputs.id
output KEYTURN_URL string = app.outputs.url
output KEYTURN_PRINCIPAL_ID string = identities.outputs.appPrincipalId
output KEYTURN_STORAGE_ID string = storage.outputs.id
output KEYTURN_DEAD_LETTER_IDENTITY_ID string = identities.outputs.deadLetterId
output KEYTURN_ALERT_GROUP_ID string = alerts.outputs.actionGroupId
output KEYTURN_WORKSPACE_ID string = monitoring.outputs.workspaceId
