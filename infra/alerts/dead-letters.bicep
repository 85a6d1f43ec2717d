// An alert on events of one vault that Event Grid could not deliver, and has put among the dead letters.
// Deployed by ../hooks/postdeploy into Keyturn's resource group: the vault's topic is not there before.
// The metric counts nothing that Event Grid has dropped because it could not write dead letters either.
//
// Source of the metric and its dimension: Microsoft's "Azure Event Grid - Monitor data reference (push
// delivery)", DeadLetteredCount: unit count, aggregation total, dimension EventSubscriptionName.

@description('Resource id of the vault\'s system topic.')
param topicId string

@description('Name of the vault, for people.')
param vaultName string

@description('Resource id of the action group. Empty: the alert only shows in the portal.')
param actionGroupId string = ''

@description('Name of the event subscription.')
param subscriptionName string = 'keyturn'

resource alert 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'keyturn-dead-letters-${vaultName}'
  location: 'global'
  properties: {
    description: 'docs/operations/alerts.md#dead-letters'
    severity: 2
    enabled: true
    scopes: [topicId]
    evaluationFrequency: 'PT15M'
    windowSize: 'PT30M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'dead-letters'
          criterionType: 'StaticThresholdCriterion'
          metricNamespace: 'Microsoft.EventGrid/systemTopics'
          metricName: 'DeadLetteredCount'
          dimensions: [
            {
              name: 'EventSubscriptionName'
              operator: 'Include'
              values: [subscriptionName]
            }
          ]
          timeAggregation: 'Total'
          operator: 'GreaterThan'
          threshold: 0
        }
      ]
    }
    actions: empty(actionGroupId) ? [] : [{ actionGroupId: actionGroupId }]
  }
}
