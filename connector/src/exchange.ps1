# The child of a connector: a session with an Exchange on premises. Its input: one line with the login, then a call a line; its output: an answer a line.
# Nothing that comes in is evaluated: a cmdlet on the list, with parameters on the list, each value as it is.
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
[Console]::OutputEncoding = New-Object System.Text.UTF8Encoding $false
$reader = New-Object System.IO.StreamReader ([Console]::OpenStandardInput()), (New-Object System.Text.UTF8Encoding $false)

$policy = 'Identity', 'Name', 'AllowNonProvisionableDevices', 'PasswordEnabled', 'AlphanumericPasswordRequired', 'MinPasswordLength',
    'MaxPasswordFailedAttempts', 'MaxInactivityTimeLock', 'PasswordExpiration', 'PasswordHistory', 'RequireDeviceEncryption', 'AllowCamera', 'AllowBluetooth'
$allowed = @{
    'Get-OrganizationConfig' = @()
    'Get-MobileDevice' = 'Identity', 'Mailbox', 'Filter', 'ResultSize'
    'Get-MobileDeviceStatistics' = @('Identity')
    'Get-CASMailbox' = 'Identity', 'Filter', 'ResultSize'
    'Set-CASMailbox' = 'Identity', 'ActiveSyncAllowedDeviceIDs', 'ActiveSyncBlockedDeviceIDs', 'ActiveSyncMailboxPolicy'
    'Clear-MobileDevice' = 'Identity', 'AccountOnly', 'Cancel', 'Confirm'
    'Remove-MobileDevice' = 'Identity', 'Confirm'
    'Get-ActiveSyncOrganizationSettings' = @()
    'Set-ActiveSyncOrganizationSettings' = 'DefaultAccessLevel', 'AdminMailRecipients', 'UserMailInsert'
    'Get-ActiveSyncDeviceAccessRule' = @()
    'New-ActiveSyncDeviceAccessRule' = 'Characteristic', 'QueryString', 'AccessLevel'
    'Set-ActiveSyncDeviceAccessRule' = 'Identity', 'AccessLevel'
    'Remove-ActiveSyncDeviceAccessRule' = 'Identity', 'Confirm'
    'Get-MobileDeviceMailboxPolicy' = @('Identity')
    'New-MobileDeviceMailboxPolicy' = $policy
    'Set-MobileDeviceMailboxPolicy' = $policy
}
$session = $null

function Write-Answer($answer) {
    [Console]::Out.WriteLine((ConvertTo-Json -InputObject $answer -Depth 4 -Compress))
    [Console]::Out.Flush()
}

function Connect-Exchange {
    if ($script:session -and $script:session.State -eq 'Opened') { return }
    if ($script:session) { Remove-PSSession $script:session -ErrorAction SilentlyContinue }
    $uri = "http://$($script:login.host)/PowerShell/"
    $script:session = New-PSSession -ConfigurationName Microsoft.Exchange -ConnectionUri $uri -Authentication Kerberos -Credential $script:credential
    Import-Module (Import-PSSession $script:session -DisableNameChecking -AllowClobber -CommandName (@($script:allowed.Keys) + 'Set-ADServerSettings')) -Global -DisableNameChecking
    Set-ADServerSettings -ViewEntireForest $true
}

# A value as it may go into JSON: times in UTC, lists as lists of texts, all else as text.
function Get-Plain($value) {
    if ($null -eq $value) { return $null }
    if ($value -is [bool] -or $value -is [int] -or $value -is [long]) { return $value }
    if ($value -is [datetime]) { return $value.ToUniversalTime().ToString('yyyy-MM-ddTHH:mm:ss.fffZ') }
    if ($value -is [string]) { return $value }
    if ($value -is [System.Collections.IEnumerable]) { return , @($value | ForEach-Object { "$_" }) }
    return "$value"
}

function Get-Parameters($call) {
    $names = $script:allowed[$call.cmdlet]
    if ($null -eq $names -and -not $script:allowed.ContainsKey($call.cmdlet)) { throw "$($call.cmdlet) is not on the list" }
    $parameters = @{}
    foreach ($given in $call.params.PSObject.Properties) {
        if ($names -notcontains $given.Name) { throw "$($given.Name) is not on the list of $($call.cmdlet)" }
        if ($given.Name -in 'Identity', 'Mailbox' -and [string]::IsNullOrWhiteSpace("$($given.Value)")) { throw 'an empty identity means all objects' }
        $value = $given.Value
        if ($value -is [System.Management.Automation.PSCustomObject]) {
            $edit = @{}
            foreach ($part in $value.PSObject.Properties) { $edit[$part.Name] = @($part.Value) }
            $value = $edit
        }
        $parameters[$given.Name] = $value
    }
    return $parameters
}

function Invoke-Call($call) {
    $parameters = Get-Parameters $call
    Connect-Exchange
    $rows = @(& $call.cmdlet @parameters -WarningAction SilentlyContinue)
    $select = @($call.select)
    $plain = foreach ($row in $rows) {
        if ($null -eq $row) { continue }
        $made = [ordered]@{}
        $wanted = if ($select.Count) { $select } else { @($row.PSObject.Properties | ForEach-Object { $_.Name }) }
        foreach ($name in $wanted) {
            if ($null -ne $row.PSObject.Properties[$name]) { $made[$name] = Get-Plain $row.$name }
        }
        $made
    }
    Write-Answer @{ id = $call.id; ok = $true; rows = @($plain) }
}

try {
    $login = $reader.ReadLine() | ConvertFrom-Json
    $secret = ConvertTo-SecureString $login.password -AsPlainText -Force
    $credential = New-Object System.Management.Automation.PSCredential ($login.user, $secret)
    $login.password = $null
    while ($null -ne ($line = $reader.ReadLine())) {
        $call = $line | ConvertFrom-Json
        try { Invoke-Call $call }
        catch {
            $problem = $_
            Write-Answer @{ id = $call.id; ok = $false; error = @{
                type = "$($problem.Exception.GetType().FullName) $($problem.FullyQualifiedErrorId)"
                message = "$($problem.Exception.Message)"; category = "$($problem.CategoryInfo.Category)" } }
        }
    }
}
finally {
    if ($session) { Remove-PSSession $session -ErrorAction SilentlyContinue }
}
