"""Short texts on clinical metabolomics: what the graph-shaped backends of the sandbox know."""

from __future__ import annotations

from equipoise.sandbox.fact import Fact

METABOLOMICS: tuple[Fact, ...] = (
    Fact(
        "clinical-metabolomics",
        ("clinical metabolomics", "what is metabolomics", "metabolome"),
        "Clinical metabolomics measures the small molecules of blood, urine, tissue or breath to find, classify and "
        "follow disease. The metabolome lies closest to the phenotype: it reflects genes, diet, drugs and gut bacteria "
        "at once. Most studies compare patients with matched controls and confirm their findings in a second cohort.",
        "Clinical metabolomics in one page",
    ),
    Fact(
        "targeted-untargeted",
        ("targeted", "untargeted", "discovery study"),
        "A targeted assay quantifies a short list of known metabolites against isotope-labelled standards. An "
        "untargeted run records every feature the instrument can see and identifies them afterwards, so it finds more "
        "and is sure of less. Candidates found without a target are usually confirmed by a targeted assay.",
        "Targeted and untargeted assays",
    ),
    Fact(
        "lc-ms",
        ("lc-ms", "liquid chromatography", "mass spectrometry", "hilic"),
        "Liquid chromatography coupled to mass spectrometry separates metabolites by polarity before weighing their "
        "ions. Reversed-phase columns suit lipids, HILIC columns suit amino acids and other polar compounds. "
        "Electrospray in both polarities is needed to cover most of the plasma metabolome.",
        "LC-MS for metabolite profiling",
    ),
    Fact(
        "gc-ms",
        ("gc-ms", "gas chromatography", "derivatisation", "derivatization"),
        "Gas chromatography with mass spectrometry needs volatile analytes, so sugars, amino and organic acids are "
        "first derivatised, commonly by methoximation and silylation. Electron ionisation at 70 eV gives spectra that "
        "are comparable between laboratories, which makes library search reliable.",
        "GC-MS and derivatisation",
    ),
    Fact(
        "nmr",
        ("nmr", "nuclear magnetic resonance"),
        "Proton NMR needs little sample preparation, does not destroy the sample and is quantitative without a "
        "standard for each compound. Its weakness is sensitivity: it sees metabolites above roughly one micromolar, "
        "where mass spectrometry reaches nanomolar. Lipoprotein profiling is its best known clinical use.",
        "NMR spectroscopy of biofluids",
    ),
    Fact(
        "quality-control",
        ("quality control", "pooled qc", "batch effect", "drift", "qc sample"),
        "A pooled quality-control sample, injected every five to ten runs, shows the drift of the instrument and lets "
        "it be corrected, for example by local regression. Features whose relative standard deviation in the pool "
        "exceeds 20 to 30 percent are dropped. Sample order is randomised so that batch and disease are not confounded.",
        "Quality control and batch correction",
    ),
    Fact(
        "preanalytics",
        ("preanalytic", "sample collection", "sample storage", "plasma or serum", "freeze"),
        "Plasma should be separated within an hour on ice and kept at minus 80 degrees Celsius. Glycolysis in a "
        "standing tube lowers glucose and raises lactate; haemolysis releases amino acids and nucleotides. Repeated "
        "freezing and thawing should be avoided, and fasting state and time of day recorded.",
        "Pre-analytical handling of blood",
    ),
    Fact(
        "identification-levels",
        ("identification level", "confidence level", "annotation", "identify unknown", "msi level"),
        "The Metabolomics Standards Initiative distinguishes four levels: identified with an authentic standard by two "
        "orthogonal properties, putatively annotated from spectral libraries, assigned to a compound class, and "
        "unknown. A biomarker should be published at level one.",
        "Levels of metabolite identification",
    ),
    Fact(
        "multivariate-statistics",
        ("pls-da", "principal component", "multivariate", "overfit", "permutation test"),
        "Principal component analysis shows outliers and batches without knowing the groups; PLS-DA knows the groups "
        "and separates them even in noise. It must therefore be judged by cross-validation and permutation tests, and "
        "by a cohort it has never seen.",
        "Multivariate statistics without overfitting",
    ),
    Fact(
        "false-discovery",
        ("false discovery", "multiple testing", "benjamini"),
        "With thousands of features some differ by chance. The Benjamini-Hochberg procedure bounds the expected share "
        "of false discoveries among those reported, which suits screening better than Bonferroni's bound on any single "
        "error.",
        "Multiple testing in omics",
    ),
    Fact(
        "pathway-analysis",
        ("pathway analysis", "pathway enrichment", "metabolic pathway", "kegg", "over-representation"),
        "Metabolic pathway analysis asks whether the altered metabolites gather in pathways of KEGG or Reactome more "
        "often than chance allows. Over-representation needs a threshold, set enrichment uses all values. The reference "
        "set must be the metabolites the assay can see, or the result is biased.",
        "Methods of metabolic pathway analysis",
    ),
    Fact(
        "flux",
        ("flux", "isotope tracing", "13c", "stable isotope"),
        "Concentrations are stocks, not flows. Stable-isotope tracing, for example with uniformly labelled glucose, "
        "follows labelled carbon through the network, and flux balance or isotopomer models turn the labelling into "
        "rates.",
        "Isotope tracing and metabolic flux",
    ),
    Fact(
        "type-2-diabetes",
        ("diabetes", "insulin resistance", "branched-chain", "bcaa"),
        "Raised branched-chain and aromatic amino acids (leucine, isoleucine, valine, phenylalanine, tyrosine) precede "
        "type 2 diabetes by years, as does 2-aminoadipic acid. Low glycine and low lysophosphatidylcholine 18:2 add to "
        "the risk. They mirror insulin resistance more than they cause it.",
        "Metabolic signatures of type 2 diabetes",
    ),
    Fact(
        "cardiovascular",
        ("tmao", "cardiovascular", "heart disease", "coronary", "ceramide"),
        "Trimethylamine N-oxide arises from dietary choline and carnitine by gut bacteria and the liver, and is "
        "associated with cardiovascular events. Ratios of certain plasma ceramides, such as Cer(d18:1/16:0) to "
        "Cer(d18:1/24:0), predict cardiovascular death beyond LDL cholesterol.",
        "TMAO, ceramides and the heart",
    ),
    Fact(
        "cancer-metabolism",
        ("cancer", "warburg", "oncometabolite", "2-hydroxyglutarate", "tumour"),
        "Tumours take up glucose and ferment it to lactate even with oxygen present, the Warburg effect. Mutated IDH1 "
        "or IDH2 makes D-2-hydroxyglutarate, an oncometabolite that blocks dioxygenases and serves as a marker in "
        "glioma and acute myeloid leukaemia.",
        "Cancer metabolism and oncometabolites",
    ),
    Fact(
        "inborn-errors",
        ("inborn error", "newborn screening", "phenylketonuria", "mcad", "acylcarnitine"),
        "Newborn screening measures amino acids and acylcarnitines in dried blood spots by tandem mass spectrometry. "
        "High phenylalanine with a high phenylalanine to tyrosine ratio points to phenylketonuria, high octanoylcarnitine "
        "to MCAD deficiency. A positive screen is confirmed by a second method.",
        "Newborn screening for inborn errors",
    ),
    Fact(
        "kidney",
        ("kidney", "renal", "creatinine", "uremic", "uraemic", "indoxyl"),
        "Creatinine rises only after half of the filtration is lost. Symmetric dimethylarginine and pseudouridine "
        "follow filtration earlier, while indoxyl sulfate and p-cresyl sulfate are toxins from gut bacteria that "
        "dialysis removes poorly because they bind to albumin.",
        "Metabolites of kidney function",
    ),
    Fact(
        "liver",
        ("liver", "nafld", "steatosis", "bile acid", "masld"),
        "Fatty liver raises plasma triglycerides with few double bonds, aromatic amino acids and conjugated primary "
        "bile acids. Bile acids are also hormones: they act on the receptors FXR and TGR5. Glutamate, serine and "
        "glycine together track fibrosis.",
        "Bile acids and fatty liver",
    ),
    Fact(
        "microbiome",
        ("microbiome", "gut bacteria", "short-chain fatty", "butyrate", "indole"),
        "Gut bacteria turn fibre into acetate, propionate and butyrate; butyrate feeds the cells of the colon. They "
        "also make indoles from tryptophan, secondary bile acids and trimethylamine. Faecal and blood levels differ, "
        "because the gut wall and the liver consume much of what is made.",
        "Metabolites of the gut microbiome",
    ),
    Fact(
        "lipidomics",
        ("lipidomics", "lipid class", "sphingolipid", "phospholipid", "lipid species"),
        "Lipidomics resolves hundreds of species in classes such as glycerophospholipids, sphingolipids, sterols and "
        "glycerolipids. A sum formula like PC 34:1 leaves open which fatty acid sits where; the shorthand notation "
        "says how much is known. One labelled standard per class is the least for quantification.",
        "A short guide to lipidomics",
    ),
    Fact(
        "alzheimer",
        ("alzheimer", "dementia", "neurodegener", "cerebrospinal"),
        "In Alzheimer's disease plasma shows shifted bile acid ratios, lower phosphatidylcholines and plasmalogens. "
        "Cerebrospinal fluid is nearer to the brain but seldom drawn. No metabolite panel is yet accepted for "
        "diagnosis; amyloid and phosphorylated tau remain the standard.",
        "Metabolomics of Alzheimer's disease",
    ),
    Fact(
        "sepsis",
        ("sepsis", "lactate", "critical illness", "intensive care"),
        "Lactate above two millimoles per litre after fluid is part of the definition of septic shock. Kynurenine to "
        "tryptophan rises with the immune response, and lysophosphatidylcholines fall; failure to recover them "
        "predicts death.",
        "Metabolites in sepsis",
    ),
    Fact(
        "depression",
        ("depression", "kynurenine", "tryptophan", "serotonin"),
        "Inflammation diverts tryptophan from serotonin to kynurenine through the enzyme IDO. A high ratio of "
        "quinolinic to kynurenic acid, neurotoxic against protective, is seen in part of the patients with depression.",
        "The kynurenine pathway in depression",
    ),
    Fact(
        "pharmacometabolomics",
        ("pharmacometabolomics", "drug response", "statin", "metformin", "precision medicine"),
        "Pharmacometabolomics predicts from a baseline profile who will respond to a drug or be harmed. Citrulline "
        "falls under metformin, bile acids modify the response to simvastatin, and urinary p-cresol sulfate before "
        "treatment changes how paracetamol is conjugated.",
        "Pharmacometabolomics: predicting drug response",
    ),
    Fact(
        "biomarker-validation",
        (
            "biomarker validation",
            "validate a biomarker",
            "sensitivity and specificity",
            "roc curve",
            "clinical utility",
        ),
        "A biomarker passes discovery, analytical validation, clinical validation in an independent cohort and a proof "
        "that its use helps patients. Area under the ROC curve speaks of discrimination only; calibration and gain over "
        "existing markers must be shown as well.",
        "From candidate to biomarker",
    ),
    Fact(
        "databases",
        ("hmdb", "metabolights", "metabolomics workbench", "database", "repository", "spectral library"),
        "HMDB describes human metabolites with concentrations and spectra, LIPID MAPS the lipids, KEGG and Reactome the "
        "pathways. Raw data are deposited in MetaboLights or the Metabolomics Workbench, reference spectra in MassBank "
        "and GNPS.",
        "Databases for metabolomics",
    ),
    Fact(
        "nutrition",
        ("nutrition", "diet", "dietary biomarker", "food intake"),
        "Food leaves traces: proline betaine tells of citrus fruit, alkylresorcinols of whole grain, methylhistidine of "
        "meat, TMAO of fish. Such markers correct what people remember wrongly in questionnaires.",
        "Metabolites as markers of diet",
    ),
    Fact(
        "exercise",
        ("exercise", "lac-phe", "physical activity"),
        "Exercise raises lactate, succinate and acylcarnitines within minutes. N-lactoyl-phenylalanine, formed from "
        "lactate and phenylalanine, rises with intensity and lowers appetite in mice.",
        "What exercise does to the metabolome",
    ),
)
