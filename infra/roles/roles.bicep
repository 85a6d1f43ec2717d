// Keyturn's roles in a subscription. They grant nothing by themselves: grant.sh assigns them.
// The files beside this one are made from the code (`make generated`), so that no right is missing,
// and none is too much.
targetScope = 'subscription'

// A role's name may exist once in a tenant.
var suffix = take(uniqueString(subscription().id), 6)
var definitions = [
  loadJsonContent('reader.json')
  loadJsonContent('mover.json')
  loadJsonContent('container-groups.json')
  loadJsonContent('key-reader.json')
  loadJsonContent('key-rotator.json')
  loadJsonContent('key-keeper.json')
]

resource roles 'Microsoft.Authorization/roleDefinitions@2022-04-01' = [for definition in definitions: {
  name: guid(subscription().id, definition.name)
  properties: {
    roleName: '${definition.name} (${suffix})'
    description: definition.description
    type: 'CustomRole'
    permissions: [
      {
        actions: definition.actions
        notActions: []
        dataActions: definition.dataActions
        notDataActions: []
      }
    ]
    assignableScopes: [subscription().id]
  }
}]


