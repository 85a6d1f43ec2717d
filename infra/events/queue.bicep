// Has a vault's events wait in a queue of Keyturn's, and not go to the function, for an app that may be
// stopped. Deployed by ../hooks/postdeploy in the place of vault.bicep, with KEYTURN_EVENTS_QUEUE=true.

@description('The vault\'s resource id.')
param vaultId string

@description('The vault\'s region, which its topic shares.')
param location string

@description('Name of the vault\'s system topic. A vault has at most one.')
param topicName string

@description('Whether the topic is made here, and not somebody else\'s.')
param makeTopic bool

@description('Resource id of Keyturn\'s storage account.')
param storageId string

@description('Resource id of the identity that puts events into the queue, and what remains among the dead letters. The topic must have it.')
param identityId string

@description('Name of the event subscription.')
param subscriptionName string = 'keyturn'

resource ownTopic 'Microsoft.EventGrid/systemTopics@2025-02-15' = if (makeTopic) {
  name: topicName
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
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
    // The storage takes no keys.
    deliveryWithResourceIdentity: {
      identity: {
        type: 'UserAssigned'
        userAssignedIdentity: identityId
      }
      destination: {
        endpointType: 'StorageQueue'
        properties: {
          resourceId: storageId
          queueName: 'keyturn-events'
          queueMessageTimeToLiveInSeconds: 2592000 // 30 days; without it 7
        }
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
    deadLetterWithResourceIdentity: {
      identity: {
        type: 'UserAssigned'
        userAssignedIdentity: identityId
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
