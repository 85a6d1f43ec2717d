// The roles for a whole management group, for estates of many subscriptions. What is done with keys
// is not among them: management groups take no role with data actions.
targetScope = 'managementGroup'

var suffix = take(uniqueString(managementGroup().id), 6)
var definitions = [
  loadJsonContent('reader.json')
  loadJsonContent('mover.json')
  loadJsonContent('container-groups.json')
]

resource roles 'Microsoft.Authorization/roleDefinitions@2022-04-01' = [for definition in definitions: {
  name: guid(managementGroup().id, definition.name)
  properties: {
    roleName: '${definition.name} (${suffix})'
    description: definition.description
    type: 'CustomRole'
    permissions: [
      {
        actions: definition.actions
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
    assignableScopes: [managementGroup().id]
  }
}]


