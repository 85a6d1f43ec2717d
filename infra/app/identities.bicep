// Who Keyturn is; and, apart from it, who may put dead letters down.

@description('Makes names unique.')
param token string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

resource app 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-keyturn-${token}'
  location: location
  tags: tags
}

// Event Grid's system topics sign in with it, and it can do nothing but write to one container
// and, with eventsQueue, to one queue.
resource deadLetter 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-keyturn-dead-letter-${token}'
  location: location
  tags: tags
}

output appName string = app.name
output appPrincipalId string = app.properties.principalId
output deadLetterId string = deadLetter.id
output deadLetterPrincipalId string = deadLetter.properties.principalId
