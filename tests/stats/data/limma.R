# The contrast is high against vehicle. Makes limma_input.csv and limma_output.csv: Rscript limma.R, in this folder.
# Made with R 4.2.2 and limma 3.54.1 (Bioconductor 3.16).
library(limma)
set.seed(20260817)
regions <- 60
animals <- 14
group <- rep(c("vehicle", "low", "high"), c(5, 5, 4))
sex <- rep_len(c(0, 1, 1), animals)
level <- rnorm(regions, 5, 1.3)
variance <- exp(-2.5 - 0.25 * (level - 5)) * 6 / rchisq(regions, 6)
y <- level + matrix(rnorm(regions * animals), regions) * sqrt(variance)
y[1:12, group == "high"] <- y[1:12, group == "high"] + 0.8
y[13:18, group == "low"] <- y[13:18, group == "low"] - 0.8
y <- y + outer(rnorm(regions, 0, 0.1), sex)
holes <- y
holes[cbind(c(3, 3, 20, 41, 41, 41, 57), c(1, 7, 14, 2, 6, 11, 9))] <- NA

design <- cbind(1, group == "low", group == "high", sex)
fits <- function(values, name, trend, weights = NULL) {
  fit <- eBayes(lmFit(values, design, weights = weights), trend = trend)
  data.frame(
    case = name, region = seq_len(regions), estimate = fit$coefficients[, 3],
    t = fit$t[, 3], p = fit$p.value[, 3], df_total = fit$df.total, variance = fit$s2.post,
    prior_variance = rep_len(fit$s2.prior, regions), prior_df = rep_len(fit$df.prior, regions)
  )
}
equal <- level + matrix(rnorm(regions * animals), regions) * 0.2
weights <- arrayWeights(y, design, var.group = group)
out <- rbind(
  fits(y, "plain", FALSE), fits(y, "trend", TRUE),
  fits(holes, "missing", FALSE), fits(holes, "missing trend", TRUE),
  fits(equal, "equal", FALSE), fits(equal, "equal trend", TRUE),
  fits(y, "array weights", FALSE, weights)
)
digits <- function(x) format(x, digits = 17, trim = TRUE, scientific = TRUE)
input <- data.frame(
  animal = rep(seq_len(animals), each = regions), region = rep(seq_len(regions), animals),
  group = rep(group, each = regions), sex = rep(sex, each = regions),
  weight = digits(rep(weights, each = regions)), value = digits(as.vector(y)), holes = digits(as.vector(holes)),
  equal = digits(as.vector(equal))
)
input$holes[input$holes == "NA"] <- ""
write.csv(input, "limma_input.csv", row.names = FALSE, quote = FALSE)
for (column in c("estimate", "t", "p", "df_total", "variance", "prior_variance", "prior_df")) {
  out[[column]] <- digits(out[[column]])
}
write.csv(out, "limma_output.csv", row.names = FALSE, quote = FALSE)
