"""How columns are usually named: which of a file's columns is one of the contract's, by its name and its values."""

from __future__ import annotations

from collections.abc import Sequence

from churnrisk.contract import ColumnSpec
from churnrisk.sources.profile import ColumnProfile, is_date

#: Common names of the contract's columns, letters and digits only, best first.
_SYNONYMS = {
    "account_id": "accountid customerid clientid companyid organizationid organisationid orgid studentid memberid "
    "tenantid workspaceid custid acctid kundennummer kundennr kundenid clientnum account customer client groupid "
    "userid id",
    "name": "name accountname companyname customername organization company firma",
    "signed_up_at": "signedupat signupdate signup createdat created createddate dateregistered registeredat "
    "registrationdate begindate customersince joined joindate joinedat kundeseit startdate",
    "owner": "owner csm accountmanager accountowner customersuccessmanager betreuer",
    "segment": "segment industry tier vertical branche",
    "plan": "plan plantier planname planid planfamily purchasetype producttype product tarif contracttype type",
    "mrr": "mrr mrramount mrreur mrrusd monthlycharges monthlyrevenue monthlyfee monthlyprice unitamount amount",
    "seats": "seats licenses licences seatcount quantity",
    "renewal_at": "renewalat renewaldate renewson nextrenewal termend currentperiodend currenttermend",
    "contacts": "contacts contactcount knowncontacts",
    "occurred_at": "occurredat timestamp eventtime eventdate eventts ts time date datewatched dateengaged usagedate "
    "invoicedate orderdate day columnuntil createdat created datetime",
    "feature": "feature featurename event eventname eventtype action courseid stockcode module product",
    "user_id": "userid user useremail personid contactid distinctid",
    "quantity": "quantity columnvalue count usagecount minuteswatched amount units value",
    "recorded_at": "recordedat loadedat ingestedat syncedat logged loggedat",
    "opened_at": "openedat opened submittedat createdat created dateopened opendate createddate",
    "resolved_at": "resolvedat resolved closedat closed solvedat closedate closeddate",
    "severity": "severity priority urgency prio",
    "category": "category topic reason tickettype type",
    "csat": "csat satisfactionscore satisfaction rating",
    "first_response_at": "firstresponseat firstreplyat firstrespondedat respondedat firstreply",
    "started_at": "startedat startdate start starts activatedat activated begindate begin datepurchased purchasedat "
    "termstart from validfrom signupdate subscribedat vertragsbeginn createdat created",
    "ended_at": "endedat enddate end ends expiresat expiredat expirydate expirationdate terminatedat "
    "terminationdate churndate churnedat leftat to validto vertragsende canceledat cancelledat canceldate "
    "cancellationdate cancelleddate",
    "auto_renew": "autorenew autorenewflag autorenewal",
    "subscription_id": "subscriptionid subid contractid id",
    "status": "status state subscriptionstatus",
    "trial_ends_at": "trialendsat trialend trialenddate trialendedat",
    "cancelled_at": "cancelledat canceledat cancelat canceldate cancellationdate cancelleddate noticeat noticedate",
    "answered_at": "answeredat answeredon respondedon date respondedat daterated submittedat surveydate "
    "createdat created timestamp",
    "score": "score nps npsscore rating courserating csat stars",
    "kind": "kind surveytype survey type",
    "valid_from": "validfrom effectivefrom since from changedat startdate snapshotdate date",
    "as_of": "asof asofdate snapshotdate date",
    "churned": "churned churn churnflag ischurned label target exited attrition",
}  # fmt: skip


def is_named(column: ColumnProfile, contract_name: str, *, most: str = "") -> int:
    """Say whether a column is named like one of the contract; higher for better names, up to the one named ``most``."""
    names = _SYNONYMS[contract_name].split()
    names = names[: names.index(most) + 1] if most else names
    return len(names) - names.index(column.plain) if column.plain in names else 0


def match_column(
    wanted: ColumnSpec, columns: Sequence[ColumnProfile], strip: Sequence[str]
) -> ColumnProfile | None:
    """Return the column that is named and filled like one of the contract."""
    fitting = [one for one in columns if holds(one, wanted)]
    plain = {one.plain: one for one in reversed(fitting)}
    bare = {
        one.plain.removeprefix(word): one
        for one in reversed(fitting)
        for word in strip
        if one.plain.startswith(word)
    }
    for names in (plain, bare):
        for word in (wanted.name.replace("_", ""), *_SYNONYMS.get(wanted.name, "").split()):
            if word in names:
                return names[word]
    return None


def holds(column: ColumnProfile, wanted: ColumnSpec) -> bool:
    """Say whether a column's values fit the type of a column of the contract."""
    if column.kind == "empty":
        return not wanted.required
    numbers = column.low is not None or column.decimal is not None or column.kind == "number"
    if wanted.type == "timestamp":
        return is_date(column)
    if wanted.type == "severity":
        return column.distinct <= 12 and not is_date(column)
    if wanted.type == "boolean":
        return column.kind == "flag"
    if wanted.type == "id":
        return column.kind == "text" or column.whole
    if wanted.type == "text":
        return not is_date(column) and (wanted.name != "name" or column.kind == "text")
    return numbers
