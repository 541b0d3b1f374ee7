<?xml version="1.0"?>
<!-- A catalogue as a page: grouped by key, sorted, every text copied. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="html" encoding="us-ascii"/>
  <xsl:key name="group" match="article" use="@group"/>
  <xsl:template match="/catalogue">
    <html><body>
      <xsl:for-each select="article[generate-id() = generate-id(key('group', @group)[1])]">
        <xsl:sort select="@group"/>
        <h1><xsl:value-of select="@group"/></h1>
        <xsl:apply-templates select="key('group', @group)">
          <xsl:sort select="title"/>
        </xsl:apply-templates>
      </xsl:for-each>
    </body></html>
  </xsl:template>
  <xsl:template match="article">
    <h2 id="{@id}"><xsl:value-of select="translate(title, 'w', 'W')"/></h2>
    <ul>
      <xsl:for-each select="offer">
        <xsl:sort select="@cents" data-type="number"/>
        <li><xsl:value-of select="concat(@cents, ' in ', normalize-space(shop))"/>
        <xsl:copy-of select="remark/node()"/></li>
      </xsl:for-each>
    </ul>
  </xsl:template>
</xsl:stylesheet>
