// What a person should hear of. Each query says what it relies on; docs/operations/alerts.md says
// what to do.

@description('Makes names unique.')
param token string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Keyturn\'s Application Insights.')
param insightsName string

@description('Where alerts go. Empty: they only show in the portal.')
param email string

var rules = [
  {
    name: 'stuck-consumer'
    title: 'Keyturn: a rotation has ended with consumers that are stuck'
    query: loadTextContent('stuck-consumer.kql')
    severity: 2
    every: 'PT15M'
    over: 'PT30M'
    when: 'GreaterThan'
  }
  {
    name: 'failed-rotation'
    title: 'Keyturn: a rotation has failed, is paused, or could not begin'
    query: loadTextContent('failed-rotation.kql')
    severity: 1
    every: 'PT15M'
    over: 'PT30M'
    when: 'GreaterThan'
  }
  {
    name: 'poison'
    title: 'Keyturn: a step was given up after five failures'
    query: loadTextContent('poison.kql')
    severity: 1
    every: 'PT15M'
    over: 'PT30M'
    when: 'GreaterThan'
  }
  {
    name: 'event-gap'
    title: 'Keyturn: a version was made, and no event has told of it'
    query: loadTextContent('event-gap.kql')
    severity: 2
    every: 'PT15M'
    over: 'PT30M'
    when: 'GreaterThan'
  }
  {
    name: 'expiring-key'
    title: 'Keyturn: a key runs out, and nothing will make a new version'
    query: loadTextContent('expiring-key.kql')
    severity: 2
    every: 'PT1H'
    over: 'P1D' // a key is looked at every few hours
    when: 'GreaterThan'
  }
  {
    name: 'no-timer'
    title: 'Keyturn: the timer has not run for an hour'
    query: loadTextContent('no-timer.kql')
    severity: 1
    every: 'PT15M'
    over: 'PT1H'
    when: 'LessThanOrEqual' // to none
  }
]

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource people 'Microsoft.Insights/actionGroups@2018-03-01' = if (!empty(email)) {
  name: 'ag-keyturn-${token}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'keyturn'
    enabled: true
    emailReceivers: [
      {
        name: 'keyturn'
        emailAddress: email
      }
    ]
    smsReceivers: []
    webhookReceivers: []
    itsmReceivers: []
    azureAppPushReceivers: []
    automationRunbookReceivers: []
  }
}

resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for rule in rules: {
  name: 'keyturn-${rule.name}-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: rule.title
    description: 'docs/operations/alerts.md#${rule.name}'
    severity: rule.severity
    enabled: true
    scopes: [insights.id]
    evaluationFrequency: rule.every
    windowSize: rule.over
    autoMitigate: true
    criteria: {
      allOf: [
        {
          query: rule.query
          timeAggregation: 'Total'
          metricMeasureColumn: 'Found'
          operator: rule.when
          threshold: 0
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: { actionGroups: empty(email) ? [] : [people.id] }
  }
}]

// dead-letters.bicep, one for each vault, comes with the vaults' topics: later, from ../hooks/postdeploy.
output actionGroupId string = empty(email) ? '' : people.id
