"""Stop words: articles, pronouns, prepositions, auxiliaries, conjunctions.

Short lists, written for this project: closed word classes of the grammar, not merely frequent
words. Negations and numerals are left out where they could carry meaning for a classifier that
removes stop words.
"""

from __future__ import annotations

from functools import cache

__all__ = ["LANGUAGES", "stop_words"]

_ENGLISH = """
a an the
i me my mine myself you your yours yourself yourselves he him his himself she her hers herself it
its itself we us our ours ourselves they them their theirs themselves one's this that these those
who whom whose which what where when why how am is are was were be been being have has had having do
does did doing done will would shall should can could may might must ought isn't aren't wasn't
weren't haven't hasn't hadn't don't doesn't didn't won't wouldn't shan't shouldn't can't cannot
couldn't mustn't i'm you're he's she's it's we're they're i've you've we've they've i'd you'd he'd
she'd we'd they'd i'll you'll he'll she'll we'll they'll that's who's what's here's there's where's
let's and or but nor so yet if because as while until although though unless whereas whether than of
at by for with about against between among into through during before after above below to from up
down in out on off over under upon within along across behind beyond toward towards onto per via
again further then once here there now also just only very too all any both each few more most other
some such own same every either
"""

_GERMAN = """
der die das den dem des ein eine einer eines einem einen
ich du er sie es wir ihr mich dich sich uns euch mir dir ihm ihn ihnen
mein meine meiner meines meinem meinen dein deine deiner deines deinem deinen sein seine seiner
seines seinem seinen unser unsere unserer unseres unserem unseren euer eure eurer eures eurem euren
ihre ihrer ihres ihrem ihren dieser diese dieses diesem diesen jener jene jenes jenem jenen welcher
welche welches welchem welchen derselbe dieselbe dasselbe denselben demselben desselben dieselben
wer wen wem wessen was wo wann warum wie bin bist ist sind seid war warst waren wart gewesen habe
hast hat haben habt hatte hattest hatten hattet gehabt werde wirst wird werden werdet wurde wurden
worden geworden würde würden kann kannst können könnt konnte konnten könnte könnten muss musst
müssen musste mussten soll sollst sollen sollte sollten will willst wollen wollte wollten darf
dürfen durfte mag mögen möchte und oder aber denn sondern weil dass daß ob wenn als während damit
obwohl sowie sowohl weder noch bis ab an auf aus bei beim durch für gegen hinter in im ins mit nach
neben ohne seit über um unter von vom vor zu zum zur zwischen am auch da dann dort hier nun nur so
sehr schon wieder doch etwas man alle aller alles allem allen jede jeder jedes jedem jeden einige
einiger einiges einigem einigen manche mancher solche solcher andere anderer anderes anderem anderen
"""

_FRENCH = """
le la les l un une des du de d au aux
je j tu il elle on nous vous ils elles me m te t se s lui leur y en moi toi soi eux
mon ma mes ton ta tes son sa ses notre nos votre vos leurs
ce c cet cette ces celui celle ceux celles cela ça ceci
qui que qu quoi dont où quel quelle quels quelles lequel laquelle lesquels lesquelles quand comment
pourquoi suis es est sommes êtes sont étais était étions étiez étaient fus fut furent serai sera
serons serez seront serait seraient été étant être sois soit soient ai as a avons avez ont avais
avait avions aviez avaient eu ayant aurai aura aurons aurez auront aurait auraient avoir aie ait
aient fait faire et ou mais donc or ni car si comme lorsque puisque quoique quoiqu lorsqu puisqu
parce afin à dans par pour sur avec sous chez entre vers depuis pendant avant après contre selon
aussi très plus ainsi alors là ici même mêmes autre autres tout toute tous toutes chaque quelque
quelques
"""

_SPANISH = """
el la los las lo un una unos unas al del
yo tú él ella ello usted nosotros nosotras vosotros vosotras ellos ellas ustedes me te se nos os le
les mí ti sí conmigo contigo consigo mi mis tu tus su sus nuestro nuestra nuestros nuestras vuestro
vuestra vuestros vuestras mío mía míos mías tuyo tuya tuyos tuyas suyo suya suyos suyas este esta
esto estos estas ese esa eso esos esas aquel aquella aquello aquellos aquellas que qué quien quién
quienes cual cuál cuales cuáles cuyo cuya cuando cuándo donde dónde como cómo soy eres es somos sois
son era eras éramos eran fui fue fuimos fueron será serán sería serían sido siendo ser sea sean
estoy estás está estamos estáis están estaba estaban estuvo estado estar esté estén he has ha hemos
habéis han había habían hubo habrá habría haya hayan haber hay tiene tienen tenía tener y e o u pero
mas sino si porque aunque pues mientras a ante bajo con contra de desde durante en entre hacia hasta
para por según sobre tras también muy más ya aquí allí así otro otra otros otras todo toda todos
todas cada mismo misma mismos mismas algún alguna algunos algunas
"""

_ITALIAN = """
il lo la i gli le l un uno una
io tu egli ella lui lei esso essa noi voi essi esse loro mi ti si ci vi ne me te se ce ve
mio mia miei mie tuo tua tuoi tue suo sua suoi sue nostro nostra nostri nostre vostro vostra vostri
vostre questo questa questi queste quello quella quelli quelle quel quei quegli ciò che chi cui
quale quali quando dove come perché sono sei è siamo siete ero era eravamo erano fui fu furono sarò
sarà saranno sarebbe sarebbero stato stata stati state essere sia siano essendo ho hai ha abbiamo
avete hanno avevo aveva avevano ebbe avrà avranno avrebbe avuto avere abbia abbiano avendo e ed o od
ma però se anche mentre a ad al allo alla ai agli alle all di del dello della dei degli delle dell
da dal dallo dalla dai dagli dalle dall in nel nello nella nei negli nelle nell su sul sullo sulla
sui sugli sulle sull con col coi per tra fra d c più molto già qui là così altro altra altri altre
tutto tutta tutti tutte ogni stesso stessa stessi stesse
"""

_PORTUGUESE = """
o a os as um uma uns umas ao à aos às do da dos das no na nos nas dum duma num numa pelo pela pelos
pelas eu tu ele ela nós vós eles elas você vocês me te se lhe lhes vos mim ti si comigo contigo
consigo meu minha meus minhas teu tua teus tuas seu sua seus suas nosso nossa nossos nossas vosso
vossa vossos vossas este esta isto estes estas esse essa isso esses essas aquele aquela aquilo
aqueles aquelas deste desta disto destes destas desse dessa disso neste nesta nesse nessa àquele
àquela que quem qual quais cujo cuja quando onde como sou és é somos são era eras éramos eram fui
foi fomos foram será serão seria seriam sido sendo ser seja sejam estou está estamos estão estava
estavam esteve estado estar esteja estejam tenho tem temos têm tinha tinham teve tido ter tenha
tenham hei há havemos hão havia houve haver haja e ou mas porém se porque embora pois enquanto de em
por para com contra desde entre até sobre sob após ante também muito mais já aqui ali assim outro
outra outros outras todo toda todos todas cada mesmo mesma mesmos mesmas
"""

_DUTCH = """
de het een 't
ik jij je u hij zij ze wij we jullie mij me jou hem haar ons hen hun zich
mijn jouw uw zijn onze
deze dit die dat wie wat welke waar wanneer waarom hoe er
ben bent is was waren geweest wees heb hebt heeft hebben had hadden gehad word wordt worden werd
werden geworden zal zult zullen zou zouden kan kunt kunnen kon konden moet moeten moest moesten mag
mogen mocht wil wilt willen wilde doe doet doen deed gedaan en of maar want dus omdat als toen
terwijl hoewel indien tenzij dan aan achter bij binnen boven door in langs met na naar naast om
onder op over per sinds te ten ter tegen tot tussen uit van vanaf via voor ook al nog hier daar nu
zo heel zeer andere ander alle elk elke ieder iedere zelf zelfde
"""

_SWEDISH = """
en ett den det de
jag du han hon vi ni mig dig honom henne oss er dem sig man
min mitt mina din ditt dina sin sitt sina hans hennes dess vår vårt våra ert era deras
denna detta dessa som vem vad vilken vilket vilka var när varför hur
är var vara varit har hade ha haft blir blev bli blivit kan kunde kunna ska skall skulle vill ville
måste får fick få gör göra gjorde och eller men att om eftersom medan då än så av bland efter från
för förbi genom hos i inom med mellan mot på till under utan vid åt över också här där nu redan
mycket alla allt andra annan annat varje själv samma sådan sådant sådana
"""

_DANISH = """
en et den det de
jeg du han hun vi i mig dig ham hende os jer dem sig man
min mit mine din dit dine sin sit sine hans hendes dens dets vor vort vore jeres deres
denne dette disse som hvem hvad hvilken hvilket hvilke hvor når hvorfor hvordan der
er var være været har havde have haft bliver blev blive blevet kan kunne skal skulle vil ville må
måtte får fik få gør gøre gjorde og eller men at om fordi mens da end så hvis af blandt efter fra
for forbi gennem hos i inden med mellem mod på til under uden ved over også her der nu allerede
meget alle alt anden andet andre hver selv samme sådan
"""

_NORWEGIAN = """
en ei et den det de
jeg du han hun vi dere meg deg ham henne oss dem seg man
min mi mitt mine din di ditt dine sin si sitt sine hans hennes dens dets vår vårt våre deres
denne dette disse som hvem hva hvilken hvilket hvilke hvor når hvorfor hvordan
er var være vært har hadde ha hatt blir ble bli blitt kan kunne skal skulle vil ville må måtte får
fikk få gjør gjøre gjorde og eller men at om fordi mens da enn så hvis av blant etter fra for forbi
gjennom hos i innen med mellom mot på til under uten ved over også her der nå allerede meget mye
alle alt annen annet andre hver selv samme slik
"""

_FINNISH = """
minä sinä hän me te he minun sinun hänen meidän teidän heidän minut sinut hänet meidät teidät heidät
se ne tämä nämä tuo nuo sen niiden tämän näiden sitä niitä tätä näitä
joka jotka jonka joiden mikä mitkä minkä kuka ketkä missä milloin miksi miten
olen olet on olemme olette ovat olin olit oli olimme olitte olivat ollut olleet olla ole oleva olisi
olisivat ja tai vai mutta sekä että jos koska kun kuin vaikka jotta siis kanssa mukaan läpi yli alla
ennen jälkeen ilman varten myös vielä jo nyt niin hyvin täällä tuolla siellä kaikki muu muut itse
sama samat
"""

_RUSSIAN = """
я ты он она оно мы вы они меня тебя его её ее нас вас их мне тебе ему ей нам вам им мной тобой ним
ней нами вами ними нём нем себя себе собой мой моя моё мое мои твой твоя твое твои свой своя своё
свое свои наш наша наше наши ваш ваша ваше ваши этот эта это эти этого этой этому этом этим этих
этими тот та то те того той тому том тем тех теми кто что кого чего кому чему ком чём чем который
которая которое которые которого которой которых где когда куда почему зачем как какой какая какое
какие быть был была было были буду будет будем будете будут есть бы и а но или да если чтобы потому
поэтому хотя пока так же ли либо то в во на с со к ко у о об обо от до из за по для при под над
перед через между без около про тоже также уже ещё еще тут там здесь вот весь вся всё все всего всех
каждый сам сама само сами самый
"""

_LISTS = {
    "danish": _DANISH,
    "dutch": _DUTCH,
    "english": _ENGLISH,
    "finnish": _FINNISH,
    "french": _FRENCH,
    "german": _GERMAN,
    "italian": _ITALIAN,
    "norwegian": _NORWEGIAN,
    "porter": _ENGLISH,
    "portuguese": _PORTUGUESE,
    "russian": _RUSSIAN,
    "spanish": _SPANISH,
    "swedish": _SWEDISH,
}

#: Languages with a list, by PyStemmer's names.
LANGUAGES = tuple(sorted(_LISTS))


@cache
def stop_words(language: str) -> frozenset[str]:
    """Return a language's stop words, lower-cased; an empty set if it has no list.

    A contraction is listed as the words of a split at the apostrophe ("don't": "don", "t").
    """
    listed = _LISTS.get(language, "")
    return frozenset(listed.replace("'", " ").split())
