// What a vault tells Keyturn. Deployed beside the vault by ../hooks/postdeploy, once the function
// exists: before, Event Grid refuses the subscription.

@description('The vault\'s resource id.')
param vaultId string

@description('The vault\'s region, which its topic shares.')
param location string

@description('Name of the vault\'s system topic. A vault has at most one.')
param topicName string

@description('Whether the topic is made here, and not somebody else\'s.')
param makeTopic bool

@description('Resource id of Keyturn\'s function app.')
param appId string

@description('Resource id of Keyturn\'s storage account, for events that could not be delivered.')
param storageId string

@description('Resource id of the identity that writes them there. The topic must have it.')
param deadLetterIdentityId string

@description('Name of the event subscription.')
param subscriptionName string = 'keyturn'

resource ownTopic 'Microsoft.EventGrid/systemTopics@2025-02-15' = if (makeTopic) {
  name: topicName
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${deadLetterIdentityId}': {} }
  }
  properties: {
    source: vaultId
    topicType: 'Microsoft.KeyVault.vaults'
  }
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

resource events 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: subscriptionName
  properties: {
    destination: {
      endpointType: 'AzureFunction'
      properties: {
        resourceId: '${appId}/functions/key_events'
        // One by one: a batch is sent again whole if one of its events fails.
        maxEventsPerBatch: 1
        preferredBatchSizeInKilobytes: 64
      }
    }
    eventDeliverySchema: 'EventGridSchema'
    filter: {
      includedEventTypes: [
        'Microsoft.KeyVault.KeyNewVersionCreated'
        'Microsoft.KeyVault.KeyNearExpiry'
        'Microsoft.KeyVault.KeyExpired'
        'Microsoft.KeyVault.VaultAccessPolicyChanged'
      ]
    }
    retryPolicy: {
      eventTimeToLiveInMinutes: 1440
      maxDeliveryAttempts: 30
    }
    // Without it an event for a stopped app is dropped.
    deadLetterWithResourceIdentity: {
      identity: {
        type: 'UserAssigned'
        userAssignedIdentity: deadLetterIdentityId
      }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: storageId
          blobContainerName: 'keyturn-dead-letters'
        }
      }
    }
  }
  dependsOn: [ownTopic]
}
